import re
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import connections, router

from .checks import has_login_api, imported
from .conf import conf
from .db.estimates import count_or_estimate
from .db.owners import is_distributed

TESTED_DATABASES = ("postgresql", "mysql", "sqlite")
# So many users are read through faster than anybody notices.
MANY_USERS = 10_000


@register("sessions_ext")
def check_one_database(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import get_user_model

    from .models import UserSession

    rows, users = router.db_for_write(UserSession), router.db_for_write(get_user_model())
    if rows != users:
        yield Error(
            f"DATABASE_ROUTERS write sessions to {rows!r} and users to {users!r}. They must be in one"
            " database: one query reads a session with its user, and a login locks the user's row.",
            hint="Let the router write UserSession where it writes the user model.",
            id="sessions_ext.E010",
        )


@register("sessions_ext")
def check_reads_of_session_data(**kwargs: Any) -> Iterable[CheckMessage]:
    store: Any = imported(f"{settings.SESSION_ENGINE}.SessionStore")
    if not hasattr(store, "get_model_class") or not apps.is_installed("django.contrib.sessions"):
        return
    from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore

    model = store.get_model_class()
    read, written = router.db_for_read(model), router.db_for_write(model)
    if read != written and not issubclass(store, CachedStore):  # whose cache has what was written lately
        yield checks.Warning(
            f"DATABASE_ROUTERS read {model._meta.label} from {read!r} and write it to {written!r}. Where the"
            " one lags behind the other, people are logged out right after their login.",
            hint="Let the router read it where it writes it, or use the engine cached_db or cache.",
            id="sessions_ext.W013",
        )


@register("sessions_ext")
def check_database(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        return
    from .models import UserSession

    alias = router.db_for_write(UserSession)
    if (vendor := connections[alias].vendor) not in TESTED_DATABASES:
        yield checks.Warning(
            f"Sessions are written to {alias!r}, a database of the kind {vendor!r}. Nobody has tested there"
            " what happens when logins, revokes and cleanups meet.",
            hint="Write them to PostgreSQL, MariaDB or SQLite, or run the tests of sessions_ext on yours.",
            id="sessions_ext.W016",
        )


@register(checks.Tags.database)
def check_distributed(databases: Any = None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not databases or not apps.is_installed("django.contrib.auth"):
        return
    from .models import UserSession

    alias = router.db_for_write(UserSession)
    if alias in databases and not conf.DISTRIBUTED and is_distributed(UserSession._meta.db_table, alias):
        yield checks.Warning(
            "The table of sessions is distributed by Citus, which refuses to lock rows of many users in one"
            " statement: the admin's actions fail.",
            hint="Set SESSIONS_EXT['DISTRIBUTED'] to True.",
            id="sessions_ext.W017",
        )


@register(checks.Tags.database)
def check_email_index(databases: Any = None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not databases or not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import get_user_model

    users: Any = get_user_model()
    email, alias = users.get_email_field_name(), router.db_for_write(users)
    fields = {field.name: field for field in users._meta.get_fields()}
    connection = connections[alias]
    if (
        alias not in databases
        or connection.vendor != "postgresql"
        or email == users.USERNAME_FIELD
        or email not in fields
        or users._meta.db_table not in connection.introspection.table_names()
        or not count_or_estimate(users._base_manager.using(alias), MANY_USERS)[1]
        or not has_login_api()
    ):
        return
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, users._meta.db_table).values()
    column = re.compile(rf"upper\(\W*{re.escape(fields[email].column)}\b", re.IGNORECASE)
    if not any(column.search(index.get("definition") or "") for index in found):
        yield checks.Warning(
            "People may log in by their e-mail addresses, and each such login reads all users: there is no"
            f" index of {users._meta.label} that serves `{email}__iexact`.",
            hint=f"Add Index(Upper({email!r}), name=...) of django.db.models to the user model, or"
            " leave out the API's login router.",
            id="sessions_ext.W010",
        )

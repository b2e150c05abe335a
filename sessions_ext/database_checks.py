from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import connections, router

from .conf import conf
from .db.owners import is_distributed

TESTED_DATABASES = ("postgresql", "mysql", "sqlite")


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

"""Loads Django's own session (the payload) by a statement that is written once, and the row of its login
with it.

The payload names the row, so the row cannot be looked for before the payload is there. What joins the two
in one query is a hint that the row keeps: a UUID made of an HMAC of the session key. The hint opens nothing
and proves nothing: authentication.verify() believes a row that was found by it only if the payload names
that row. Otherwise it asks for the one that is named, and the next touch corrects the hint."""

from functools import cache
from typing import Any
from uuid import UUID

from django.db import router
from django.utils import timezone
from django.utils.crypto import salted_hmac

from .conf import conf
from .db.errors import UNSUITABLE
from .db.prepared import Pair, Parameter, Statement
from .managers import UserSessionManager
from .models import UserSession
from .querysets import keyed

SALT = "sessions_ext.payload_hint"


class LoadsByStatement:
    """A base class before the SessionStore of Django's db engine, whose query for a session it
    replaces."""

    model: Any
    session_key: Any
    hinted: UserSession | None = None  # the row that was found by the hint of the payload loaded last

    def _get_session_from_db(self) -> Any:
        rows = self.model.objects.db_manager(router.db_for_read(self.model)).get_queryset()
        values = {"session_key": self.session_key, "now": timezone.now()}
        found = self._with_row(rows, values)
        stored, self.hinted = found or (LOAD.get(rows, **values), None)
        if stored is None:
            self._session_key = None
        return stored

    def _with_row(self, rows: Any, values: dict[str, Any]) -> list[Any] | None:
        if not (hint := hint_of(self, rows.db)):
            return None
        try:
            return LOAD_WITH_ROW.get_each(rows, payload_hint=hint, **values)
        except UNSUITABLE:
            return None  # a row or user that cannot be read says nothing about the payload


def loads_as_django_does(engine_store: Any) -> bool:
    if not hasattr(engine_store, "_get_session_from_db"):
        return False
    from django.contrib.sessions.backends.db import SessionStore

    # A project's own engine may keep sessions elsewhere.
    return (
        engine_store._get_session_from_db is vars(SessionStore)["_get_session_from_db"]
        and engine_store.get_model_class() is SessionStore.get_model_class()
    )


def hint_of(store: Any, using: str = "") -> UUID | None:
    """The hint of the session that a store holds; None where payload and row take two queries: without a
    key yet, with an engine that does not load both from one database, and where the settings say so. `using`
    is the database that the payload is read from, where it is known: a router that picks one of many may
    name another when it is asked again."""
    if not (conf.ONE_QUERY and store.session_key) or conf.CACHE or conf.DISTRIBUTED:
        return None
    engine_store: Any = getattr(store, "engine_store", type(store))
    # A manager of the project's own may hide rows, now these and then those.
    if not _is_djangos_db(engine_store) or type(UserSession.objects) is not UserSessionManager:
        return None
    if (using or router.db_for_read(store.model)) != router.db_for_write(UserSession):
        return None
    digest = salted_hmac(SALT, store.session_key, algorithm="sha256").digest()
    return UUID(bytes=digest[:16], version=5)  # one that is made of a name; MariaDB takes no other bits


@cache
def _is_djangos_db(engine_store: Any) -> bool:
    """Whether each load asks the table: cached_db looks into its cache first."""
    if not loads_as_django_does(engine_store):
        return False
    from django.contrib.sessions.backends.db import SessionStore

    return engine_store.load is SessionStore.load


def _load(rows: Any) -> tuple[Any, dict[str, Any]]:
    now = Parameter("now", rows.model._meta.get_field("expire_date"))
    return keyed(rows, "session_key").filter(expire_date__gt=now), {}


def _load_with_row(rows: Any) -> tuple[Any, Any]:
    sessions = UserSession.objects.using(rows.db)
    return _load(rows)[0], keyed(sessions, "payload_hint").select_related("user")


LOAD = Statement(_load)
LOAD_WITH_ROW = Pair(_load_with_row)

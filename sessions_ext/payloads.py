"""Loads Django's own session by a statement that is written once."""

from typing import Any

from django.db import router
from django.utils import timezone

from .db.prepared import Parameter, Statement


class LoadsByStatement:
    """A base class before the SessionStore of Django's db engine, whose query for a session it
    replaces."""

    model: Any
    session_key: Any

    def _get_session_from_db(self) -> Any:
        rows = self.model.objects.db_manager(router.db_for_read(self.model)).get_queryset()
        stored = LOAD.get(rows, session_key=self.session_key, now=timezone.now())
        if stored is None:
            self._session_key = None
        return stored


def loads_as_django_does(engine_store: Any) -> bool:
    if not hasattr(engine_store, "_get_session_from_db"):
        return False
    from django.contrib.sessions.backends.db import SessionStore

    # A project's own engine may keep sessions elsewhere.
    return (
        engine_store._get_session_from_db is vars(SessionStore)["_get_session_from_db"]
        and engine_store.get_model_class() is SessionStore.get_model_class()
    )


def _load(rows: Any) -> tuple[Any, dict[str, Any]]:
    key, end = (rows.model._meta.get_field(name) for name in ("session_key", "expire_date"))
    return rows.filter(session_key=Parameter("session_key", key), expire_date__gt=Parameter("now", end)), {}


LOAD = Statement(_load)

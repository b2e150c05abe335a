"""The statements that requests wait for, made once: verify and touch, which do what the querysets
of managers.py do, and the load of Django's own session."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import router
from django.utils import timezone

from .conf import conf
from .db.prepared import Parameter, Statement
from .lifetime import idle_before, unended

if TYPE_CHECKING:
    from .models import UserSession


def verify(using: str, user_id: Any, session_id: Any) -> "UserSession | None":
    """active().select_related("user") of one row. Raises what Django raises for a value that
    its field does not take."""
    found: UserSession | None = VERIFY.get(using, *_variant(), **_values(user_id, session_id, timezone.now()))
    return found


def touch(using: str, session: "UserSession", ip_address: str | None) -> bool:
    """touch() of one row."""
    now = timezone.now()
    values = _values(session.user_id, session.pk, now) | {
        "due_before": now - conf.TOUCH_INTERVAL,
        "ip_address": ip_address,
    }
    return bool(TOUCH.update(using, *_variant(), ip_address is not None, **values))


class LoadsByStatement:
    """Comes before the SessionStore of Django's db engine, whose query for the session this is."""

    model: Any
    session_key: Any

    def _get_session_from_db(self) -> Any:
        stored = LOAD.get(router.db_for_read(self.model), session_key=self.session_key, now=timezone.now())
        if stored is None:
            self._session_key = None
        return stored


def _variant() -> tuple[bool]:
    return (conf.IDLE_TIMEOUT is not None,)


def _values(user_id: Any, session_id: Any, now: datetime) -> dict[str, Any]:
    return {"user_id": user_id, "id": session_id, "now": now, "idle_before": idle_before(now)}


def _verify(using: str, is_idle_timed: bool) -> tuple[Any, dict[str, Any]]:
    return _one_active(using, is_idle_timed).select_related("user"), {}


def _touch(using: str, is_idle_timed: bool, has_ip: bool) -> tuple[Any, dict[str, Any]]:
    changes = {"last_activity_at": _parameter("now", "last_activity_at")}
    if has_ip:
        changes["last_ip_address"] = _parameter("ip_address", "last_ip_address")
    due = _one_active(using, is_idle_timed)
    return due.filter(last_activity_at__lte=_parameter("due_before", "last_activity_at")), changes


def _one_active(using: str, is_idle_timed: bool) -> Any:
    idle_before = _parameter("idle_before", "last_activity_at") if is_idle_timed else None
    return (
        _model()
        .objects.using(using)
        .filter(
            unended(_parameter("now", "expires_at"), idle_before),
            user_id=_parameter("user_id", "user"),
            pk=_parameter("id", "id"),
            is_revoked=False,
        )
    )


def _load(using: str) -> tuple[Any, dict[str, Any]]:
    model = apps.get_model("sessions", "Session")
    key, end = (model._meta.get_field(name) for name in ("session_key", "expire_date"))
    rows = model.objects.using(using)
    return rows.filter(session_key=Parameter("session_key", key), expire_date__gt=Parameter("now", end)), {}


def _parameter(name: str, field: str) -> Parameter:
    return Parameter(name, _model()._meta.get_field(field))


def _model() -> Any:
    return apps.get_model("sessions_ext", "UserSession")


VERIFY, TOUCH, LOAD = Statement(_verify), Statement(_touch), Statement(_load)

"""When a session is active, and when it ends."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Least
from django.utils import timezone

from .conf import conf

if TYPE_CHECKING:
    from .models import UserSession


def longest(is_impersonated: bool) -> timedelta:
    """How long after its sign-in a session ends at the latest, however much it is used."""
    return min(conf.LIFETIME, conf.IMPERSONATION_LIFETIME) if is_impersonated else conf.LIFETIME


def bounds(at: datetime) -> dict[str, Any]:
    """What "active" means for a row that is not revoked: each column here is later than its moment."""
    after: dict[str, Any] = {"expires_at": at}
    if conf.IDLE_TIMEOUT:
        after["last_activity_at"] = at - conf.IDLE_TIMEOUT
    return after


def unended(after: dict[str, Any]) -> Q:
    """Matches the rows that time has not ended; `after` comes from bounds()."""
    return Q(**{f"{column}__gt": moment for column, moment in after.items()})


def active(after: dict[str, Any]) -> Q:
    """Matches the rows that are active; `after` comes from bounds()."""
    return Q(unended(after), is_revoked=False)


def is_active(session: "UserSession", at: datetime) -> bool:
    """Whether a row, as it was loaded, is active at a moment."""
    return not session.is_revoked and all(
        getattr(session, column) > moment for column, moment in bounds(at).items()
    )


def end_by_time() -> Any:
    """An expression for when a session ends if nobody revokes it."""
    end = F("expires_at")
    if not conf.IDLE_TIMEOUT:
        return end
    idle_end = F("last_activity_at") + Value(conf.IDLE_TIMEOUT)
    return Least(end, ExpressionWrapper(idle_end, output_field=DateTimeField()))


def cookie_end(store: SessionBase) -> datetime | None:
    """When a cookie that is issued now will end, at most LIFETIME from now. None for a cookie whose end
    moves with every request."""
    if settings.SESSION_SAVE_EVERY_REQUEST:
        return None
    age = timedelta(seconds=min(max(store.get_expiry_age(), 1), conf.LIFETIME.total_seconds()))
    return timezone.now() + age

"""What the settings mean: which rows are active, and how many a user may have."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Least
from django.utils.module_loading import import_string

from .conf import conf

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


def active(at: datetime) -> Q:
    return Q(unended(at, idle_before(at)), is_revoked=False)


def unended(at: Any, idle_before: Any) -> Q:
    """Not ended by time at `at`, where whoever was last seen at `idle_before` has idled out."""
    within = Q(expires_at__gt=at)
    return within & Q(last_activity_at__gt=idle_before) if idle_before else within


def idle_before(at: datetime) -> datetime | None:
    return at - conf.IDLE_TIMEOUT if conf.IDLE_TIMEOUT else None


def end_by_time() -> Any:
    """When a session that nobody revokes ends, as the database reckons it."""
    end = F("expires_at")
    if not conf.IDLE_TIMEOUT:
        return end
    idle_end = F("last_activity_at") + Value(conf.IDLE_TIMEOUT)
    return Least(end, ExpressionWrapper(idle_end, output_field=DateTimeField()))


def limit_of(user: "AbstractBaseUser") -> int | None:
    """MAX_SESSIONS for this user."""
    limit = conf.MAX_SESSIONS
    if isinstance(limit, str):
        limit = import_string(limit)(user)
    if limit is not None and type(limit) is not int:
        raise ImproperlyConfigured(f"MAX_SESSIONS returned {type(limit).__name__}, not an int or None.")
    return None if limit is None else max(limit, 0)

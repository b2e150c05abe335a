"""The way out of ON_LIMIT "deny": whoever has given the right password and met the limit ends one of their
sessions, or as many as it takes, and signs in again. The token for that opens no session and logs nobody
in."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import DataError, router
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from . import authentication, limits
from .db.locks import seeing_latest, take_write_lock
from .models import RevokedReason, UserSession
from .querysets import UserSessionQuerySet, revoke_rows

SALT, LIFETIME = "sessions_ext.make_room", timedelta(minutes=10)


class Holder(NamedTuple):
    """Who met the limit, and when they were given a token for that, if they were."""

    user: Any
    since: datetime | None = None


def token_for(user: Any) -> str:
    """What lets this user end sessions within ten minutes, until there is room. It dies with the password,
    and with the user's next login."""
    mark = next(iter(_marks(user)), "")
    return signing.dumps([user._meta.pk.value_to_string(user), timezone.now().isoformat(), mark], salt=SALT)


def holder_of(token: str) -> Holder | None:
    """Who has been given the token; None for anything else. One query, none for what we have not signed."""
    try:
        user_id, since, mark = signing.loads(token, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    users: Any = get_user_model()
    try:
        user = users._default_manager.using(router.db_for_write(users)).filter(pk=user_id).first()
    except (ValidationError, ValueError, DataError):  # made for an earlier user model
        return None
    if user is None or not user.is_active:
        return None
    is_current = any(constant_time_compare(mark, each) for each in _marks(user) or [""])
    return Holder(user, datetime.fromisoformat(since)) if is_current else None


def is_over(holder: Holder) -> bool:
    """Whether somebody has signed in since: then the token has done its work. One query."""
    return holder.since is not None and _of(holder.user).filter(created_at__gt=holder.since).exists()


def has_room(user: Any, request: HttpRequest) -> bool:
    """Whether a login would go through now. One query."""
    limit = limits.limit_of(user, request)
    return limit is None or sessions_in_the_way(user).count() < limit


def end(holder: Holder, session_id: str, request: HttpRequest) -> None:
    """End one of their sessions, unless there is room by now, or would be none without it: several calls at
    once wait for each other, as logins do. Raises ValidationError for what is no id."""
    rows, limit = sessions_in_the_way(holder.user), limits.limit_of(holder.user, request)
    with seeing_latest(rows.db):
        limits.lock(holder.user, rows.db)
        take_write_lock(rows)
        if limit and rows.count() >= limit and not is_over(holder):
            revoke_rows(rows.filter(pk=session_id), RevokedReason.USER, waits=False)  # logins wait for this


def sessions_in_the_way(user: Any) -> UserSessionQuerySet:
    """The sessions that count towards the limit, the newest first."""
    return _of(user).active().newest_first()


def _of(user: Any) -> UserSessionQuerySet:
    sessions: UserSessionQuerySet = UserSession.objects.primary.for_user(user).own()
    return sessions


def _marks(user: Any) -> list[str]:
    hashes: Iterable[str] = authentication.auth_hashes(user)
    return [salted_hmac(SALT, each, algorithm="sha256").hexdigest()[:32] for each in hashes]

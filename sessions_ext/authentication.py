"""Whether a login is valid: the one answer for cookies, tokens and sockets.

A login is valid while its row is active and Django's own rules (django.contrib.auth.get_user) accept
its user: by the authentication backend that it came through, and by the session auth hash that it
carries. The row comes from the CACHE, where one is set, or else from the database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from . import signals, verdict_cache
from .conf import conf
from .db.updates import update
from .models import UserSession
from .reasons import RevokedReason

__all__ = ["Login", "verify"]

BEFORE = "_authenticated_before"  # on a session that renew() has changed


@dataclass(frozen=True)
class Login:
    """A login whose row is active. `user` is None where Django's rules accept nobody. Then `ends` is
    the reason to revoke the session for, if it has to end; and `is_outdated` says that the login is
    older than a password change within its own session, which goes on. `renewed_hash` is the session
    auth hash to carry from now on, if the present one was made with one of the SECRET_KEY_FALLBACKS."""

    session: UserSession
    user: Any = None
    ends: RevokedReason | None = None
    is_outdated: bool = False
    renewed_hash: str | None = None


def verify(
    user_id: Any,
    session_id: Any,
    backend: Any,
    holds: Callable[[str], bool],
    stamp: int | None = None,
    *,
    may_be_cached: bool = True,
    hinted: UserSession | None = None,
) -> Login | None:
    """The login of this user by this row, or None if the row is not active. The login carries
    `backend`, a dotted path, and `stamp`, see stamp(). `holds(hash)` says whether it carries that
    session auth hash. One query; none if the CACHE has a verdict, or if it is the row `hinted`: one
    that was loaded just now with its user, and may be anybody's."""
    if hinted and hinted.is_active and _is_row_of(hinted, user_id, session_id):
        return judge(hinted, None, backend, holds, stamp)
    verdict = version = None
    may_be_cached = may_be_cached and bool(conf.CACHE)
    if may_be_cached:
        verdict, version = verdict_cache.get(UserSession, UserSession.objects.primary.db, user_id, session_id)
    if verdict and verdict.session.is_active:
        login = judge(verdict.session, verdict.hashes, backend, holds, stamp)
        if login.user is not None:
            signals.verdict_asked.send(UserSession, is_hit=True)
            return login
        # The cache may be behind; the database is not.
    if may_be_cached:
        signals.verdict_asked.send(UserSession, is_hit=False)
    session = UserSession.objects.verify(user_id, session_id)
    if session is None:
        return None
    if version:
        verdict_cache.set(session, list(auth_hashes(session.user)), version)
    return judge(session, None, backend, holds, stamp)


def auth_hashes(user: Any) -> Iterator[str]:
    """The session auth hashes that are valid for a user: the one from SECRET_KEY, then those from
    SECRET_KEY_FALLBACKS. A user model without get_session_auth_hash() has none."""
    if hasattr(user, "get_session_auth_hash"):
        yield user.get_session_auth_hash()
        yield from user.get_session_auth_fallback_hash()


def stamp(session: UserSession) -> int:
    """The stamp that a login carries: `authenticated_at`, in microseconds. A login with another stamp
    is older than a password change within the session. Its auth hash then says nothing about the
    session as it is now."""
    at: datetime = session.authenticated_at
    return round(at.timestamp() * 1_000_000)


def renew(session: UserSession) -> bool:
    """Record that the person has just proved in this session who they are. Returns whether the session is
    still active; in one that has ended nothing is recorded. One statement."""
    at, row = timezone.now(), session.as_row
    if not update(row.active(at), authenticated_at=at):
        return False
    setattr(session, BEFORE, getattr(session, BEFORE, session.authenticated_at))
    session.authenticated_at, session.carries_latest_proof = at, True
    verdict_cache.invalidate({session.user_id}, row.db)
    return True


def impersonator_of(request: HttpRequest, user: Any) -> Any:
    """Who it is that this login makes act as the user, by the IMPERSONATOR; None for an ordinary login.
    Raises what the project's callable raises, which refuses the login."""
    return import_string(conf.IMPERSONATOR)(request, user) if conf.IMPERSONATOR else None


def is_rolled_back(session: UserSession) -> bool:
    """Whether a transaction that was rolled back has undone renew(). Then this object is as the row again.
    One query, if there was a renew()."""
    before = getattr(session, BEFORE, session.authenticated_at)
    if before == session.authenticated_at or not session.as_row.filter(authenticated_at=before).exists():
        return False
    session.authenticated_at = before
    return True


def djangos_user(session: Any) -> Any:
    """Who is logged in by the data of a session by Django's own rules, or None."""
    user = auth.get_user(cast("HttpRequest", SimpleNamespace(session=session)))
    return user if user.is_authenticated else None


def judge(
    session: UserSession,
    hashes: list[str] | None,
    backend: Any,
    holds: Callable[[str], bool],
    carried: int | None,
) -> Login:
    """The login of whoever carries these by this row, which is active and has its user loaded; see
    verify(). `hashes` are those of the user where they are known. No query, but of a backend that looks
    for users in its own way."""
    session.carries_latest_proof = carried is not None and carried >= stamp(session)
    user, ends = _user_of(session, backend)
    if user is None:
        return Login(session, ends=ends)
    known = list(hashes) if hashes is not None and user is session.user else auth_hashes(user)
    current = None
    for auth_hash in known:
        current = current or auth_hash
        if holds(auth_hash):
            return Login(session, user, renewed_hash=None if auth_hash == current else current)
    if current is None:
        return Login(session, user)  # a user model without hashes
    if carried is not None and carried != stamp(session):
        return Login(session, is_outdated=True)
    return Login(session, ends=RevokedReason.PASSWORD_CHANGE)


def _is_row_of(session: UserSession, user_id: Any, session_id: Any) -> bool:
    # Spelled as a login spells them. Another spelling costs the query.
    user: Any = session.user  # None if the one query found the row and not the user
    spelled = user and (user._meta.pk.value_to_string(user), str(session.pk))
    return bool(spelled == (user_id, session_id))


def _user_of(session: UserSession, backend_path: Any) -> tuple[Any, RevokedReason | None]:
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None, None
    backend: Any = auth.load_backend(str(backend_path))
    if not _takes_user_as_joined(backend):
        return backend.get_user(session.user_id), None
    if not backend.user_can_authenticate(session.user):
        return None, RevokedReason.USER_DISABLED
    return session.user, None


def _takes_user_as_joined(backend: Any) -> bool:
    # A get_user() of its own, or a manager with a get_queryset() of its own, may hide users.
    manager = type(auth.get_user_model()._default_manager)
    return (
        getattr(type(backend), "get_user", None) is ModelBackend.get_user
        and manager.get_queryset is models.Manager.get_queryset
    )

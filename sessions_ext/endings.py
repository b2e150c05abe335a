"""Why a session has ended, in words for the browser or the app that had it.

Whoever holds a copy of its cookie or token may be a thief. So the holder is told one of a few reasons, no
note that was written for others, and nothing of what the owner or the app has noticed: a session that ended
as not theirs, or as suspicious, has ended for an OTHER reason, as one with a reason of the project's own has
(OWASP ASVS 5.0, 16.5.1: a generic message)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .authentication import auth_hashes
from .conf import conf
from .models import RevokedReason, UserSession
from .requests import arrival

__all__ = ["REASONS", "SessionEnded"]

EXPIRED, IDLE, OTHER = "expired", "idle", "other"
REASONS = {
    RevokedReason.USER.value: _("You were signed out from another device."),
    RevokedReason.ADMIN.value: _("An administrator signed you out."),
    RevokedReason.LIMIT.value: _("You were signed out here, because you are signed in on too many devices."),
    RevokedReason.PASSWORD_CHANGE.value: _("You were signed out, because your password was changed."),
    RevokedReason.USER_DISABLED.value: _("You were signed out, because your account was disabled."),
    RevokedReason.IMPERSONATOR.value: _("You no longer act as another user."),
    EXPIRED: _("Your session has expired. Please sign in again."),
    IDLE: _("You were signed out after a time without activity."),
    OTHER: _("You were signed out. Please sign in again."),
}


@dataclass(frozen=True)
class SessionEnded:
    """Why a session has ended: `reason` is one of REASONS, and the object reads as a sentence for people,
    in the language of whoever reads it."""

    reason: str

    def __str__(self) -> str:
        return str(REASONS[self.reason])


def why(session: UserSession) -> SessionEnded | None:
    """Why this session has ended; None for one that is active, and for one that its user signed out."""
    reason = session.revoked_reason.partition(": ")[0]
    if not conf.TELL_WHY or session.is_active or reason == RevokedReason.LOGOUT:
        return None
    if not session.is_revoked:
        return SessionEnded(EXPIRED if session.expires_at <= timezone.now() else IDLE)
    if session.is_impersonated:
        return SessionEnded(RevokedReason.IMPERSONATOR.value)
    return SessionEnded(reason if reason in RevokedReason.values and reason in REASONS else OTHER)


def of_login(user_id: Any, session_id: Any, holds: Callable[[str], bool]) -> tuple[SessionEnded | None, bool]:
    """Why the login of this user by this row has ended, and whether that was after the request at hand
    arrived. `holds(hash)` says whether the login carries that session auth hash: without the right one it
    is told nothing, but for a changed password, which makes it a wrong one. A request that was on its way
    is told nothing either, since its cookie comes once more. One query."""
    session = None
    with suppress(ValidationError, ValueError, TypeError, OverflowError, DataError):
        rows = UserSession.objects.primary.select_related("user")
        session = rows.filter(user_id=user_id, pk=session_id).first()
    if session is None:
        return None, False
    since = arrival()
    if since is not None and session.revoked_at is not None and session.revoked_at >= since:
        return None, True
    return of_session(session, holds), False


def of_session(session: UserSession, holds: Callable[[str], bool]) -> SessionEnded | None:
    """The same of a session that is at hand, and for a login that found it active. No query."""
    ended = why(session)
    if ended and ended.reason != RevokedReason.PASSWORD_CHANGE:
        hashes = list(auth_hashes(session.user))
        ended = ended if not hashes or any(map(holds, hashes)) else None
    return ended

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["EndedBy", "RevokedReason", "label", "label_for_user", "with_note"]


class RevokedReason(models.TextChoices):
    """Why a session ended. `revoked_reason` takes any other text as well."""

    LOGOUT = "logout", _("Signed out")
    USER = "user", _("Signed out from another device")
    NOT_ME = "not_me", _("Not recognised by the user")
    ADMIN = "admin", _("By an administrator")
    LIMIT = "limit", _("Too many devices")
    PASSWORD_CHANGE = "password_change", _("Password changed")
    USER_DISABLED = "user_disabled", _("Account disabled")
    REFRESH_REUSE = "refresh_reuse", _("Refresh token used twice")
    SUSPICIOUS = "suspicious", _("Suspicious activity")
    IMPERSONATOR = "impersonator", _("Whoever acted as the user was signed out")


class EndedBy(models.TextChoices):
    """Who ended a session."""

    USER = "user", _("User")
    ADMIN = "admin", _("Administrator")
    POLICY = "policy", _("Policy")
    SYSTEM = "system", _("System")


_ENDED_BY: dict[str, EndedBy] = {
    RevokedReason.LOGOUT: EndedBy.USER,
    RevokedReason.USER: EndedBy.USER,
    RevokedReason.NOT_ME: EndedBy.USER,
    RevokedReason.PASSWORD_CHANGE: EndedBy.USER,
    RevokedReason.ADMIN: EndedBy.ADMIN,
    RevokedReason.USER_DISABLED: EndedBy.ADMIN,
    RevokedReason.IMPERSONATOR: EndedBy.ADMIN,
    RevokedReason.LIMIT: EndedBy.POLICY,
    RevokedReason.REFRESH_REUSE: EndedBy.SYSTEM,
    RevokedReason.SUSPICIOUS: EndedBy.SYSTEM,
}
# Each reason as the session's user reads it.
_FOR_USER: dict[str, object] = {
    RevokedReason.LOGOUT: _("You signed out"),
    RevokedReason.USER: _("You signed out from another device"),
    RevokedReason.NOT_ME: _("You said it wasn't you"),
    RevokedReason.ADMIN: _("Ended by an administrator"),
    RevokedReason.LIMIT: _("Too many devices"),
    RevokedReason.PASSWORD_CHANGE: _("Password changed"),
    RevokedReason.USER_DISABLED: _("Account disabled"),
    RevokedReason.REFRESH_REUSE: _("Ended for your security"),
    RevokedReason.SUSPICIOUS: _("Ended for your security"),
    RevokedReason.IMPERSONATOR: _("They stopped"),
}
_FOR_USER_OF_STAFF = _FOR_USER | {RevokedReason.LOGOUT: _FOR_USER[RevokedReason.IMPERSONATOR]}


def ended_by(reason: str) -> EndedBy:
    """Who ended a session with this reason. Free text is the project's own, which counts as SYSTEM."""
    return _ENDED_BY.get(reason.partition(": ")[0], EndedBy.SYSTEM)


def with_note(reason: RevokedReason, note: str) -> str:
    """A reason with a note: "admin: stolen laptop"."""
    return f"{reason.value}: {note}"[:255] if note else reason.value


def label(reason: str) -> str:
    """A reason in words for people. Free text stays as it is."""
    return _in_words(reason, dict(RevokedReason.choices))


def label_for_user(reason: str, *, is_impersonated: bool = False) -> str:
    """A reason in words for the session's user. Free text stays as it is. In a session of staff who acted as
    the user, nobody but they signed out."""
    return _in_words(reason, _FOR_USER_OF_STAFF if is_impersonated else _FOR_USER)


def _in_words(reason: str, words: Mapping[str, object]) -> str:
    known, colon, note = reason.partition(": ")
    return f"{words[known]}{colon}{note}" if known in words else reason

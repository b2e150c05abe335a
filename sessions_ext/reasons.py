from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["EndedBy", "RevokedReason", "label", "with_note"]


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


def ended_by(reason: str) -> EndedBy:
    """Who ended a session with this reason. Free text is the project's own, which counts as SYSTEM."""
    return _ENDED_BY.get(reason.partition(": ")[0], EndedBy.SYSTEM)


def with_note(reason: RevokedReason, note: str) -> str:
    """A reason with a note: "admin: stolen laptop"."""
    return f"{reason.value}: {note}"[:255] if note else reason.value


def label(reason: str) -> str:
    """A reason in words for people. Free text stays as it is."""
    known, colon, note = reason.partition(": ")
    return f"{RevokedReason(known).label}{colon}{note}" if known in RevokedReason.values else reason

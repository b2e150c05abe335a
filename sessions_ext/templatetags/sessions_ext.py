from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ..models import RevokedReason, UserSession
from ..views import SessionsMixin

register = template.Library()

# The first match in a device's name picks its icon.
_KINDS = {
    "tv": (" TV", "Roku", "Chromecast", "PlayStation", "Xbox", "Nintendo"),
    "tablet": ("iPad", "Silk"),
    "phone": ("iPhone", "Android", "iOS", "HarmonyOS"),
    "desktop": ("macOS", "Windows", "Linux", "Ubuntu", "Chrome OS", "Fedora", "BSD"),
}


@register.inclusion_tag("sessions_ext/sessions.html", takes_context=True)
def user_sessions(context: dict[str, Any], next: str = "") -> dict[str, Any]:
    """The sessions of the person who asks, for any page. Their buttons lead back to the path `next`, or
    else to "Your devices"."""
    sessions = SessionsMixin()
    sessions.request = context["request"]
    return {"sessions": sessions, "next": next, "csrf_token": context.get("csrf_token")}


@register.filter
def ago(at: datetime) -> str:
    """ "3 minutes ago"."""
    now = timezone.now()
    if (now - at).total_seconds() < 60:
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(at, now, depth=1)}


@register.filter
def device_kind(session: UserSession) -> str:
    """The name of an icon: desktop, phone, tablet, tv, staff or other."""
    if session.is_impersonated:
        return "staff"
    for kind, signs in _KINDS.items():
        if any(sign in session.device_info for sign in signs):
            return kind
    return "other"


@register.filter
def device_name(session: UserSession) -> str:
    """What a session is called before its user. Of staff who act as the user it tells no device."""
    if session.is_impersonated:
        return _("Staff of this site")
    return session.device_info or _("Unknown device")


@register.filter
def why_ended(session: UserSession) -> str:
    """Why a session ended, in words for its user. Free text stays as it is."""
    if session.disowned_at:
        return _("You said it wasn't you")
    if not session.is_revoked:
        return _("Expired")
    words: dict[str, str] = {
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
    if session.is_impersonated:
        words[RevokedReason.LOGOUT] = words[RevokedReason.IMPERSONATOR]
    reason, colon, note = session.revoked_reason.partition(": ")
    return f"{words[reason]}{colon}{note}" if reason in words else session.revoked_reason

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ..clients import kind_of_device
from ..models import UserSession
from ..reasons import RevokedReason, label_for_user
from ..views import SessionsMixin

register = template.Library()


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
    return "staff" if session.is_impersonated else kind_of_device(session.device_info)


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
        return label_for_user(RevokedReason.NOT_ME)
    if not session.is_revoked:
        return _("Expired")
    return label_for_user(session.revoked_reason, is_impersonated=session.is_impersonated)

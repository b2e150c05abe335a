"""How the admin's pages show a moment and a session's state. Django loads this library in every
project that has templates, so it must not import django.contrib.admin."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext

from ..models import UserSession
from ..reasons import label

register = template.Library()


@register.filter
def when(moment: datetime) -> SafeString:
    """ "3 minutes ago", with the exact time to be seen by hovering."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), ago(moment)
    )


@register.filter
def badge(session: UserSession) -> SafeString:
    reason = ""
    if session.is_revoked:
        kind, text, reason = "revoked", gettext("Revoked"), label(session.revoked_reason)
    elif session.is_active:
        kind, text = "active", gettext("Active")
    elif timezone.now() < session.expires_at:
        kind, text = "idle", gettext("Idle")
    else:
        kind, text = "expired", gettext("Expired")
    state = format_html('<span class="session-state session-{}">{}</span>', kind, text)
    return format_html('{} <small class="quiet">{}</small>', state, reason) if reason else state


def ago(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 0:
        return gettext("in %s") % timeuntil(moment, depth=1)
    return gettext("%s ago") % timesince(moment, depth=1) if seconds >= 60 else gettext("just now")


def exact(moment: datetime) -> str:
    return f"{local(moment):%Y-%m-%d %H:%M:%S %Z}".strip()


def local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment

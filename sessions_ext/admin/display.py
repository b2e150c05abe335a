"""How the admin shows one session."""

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import UserSession
from ..reasons import label
from .actions import TEMPLATES
from .overview import local

SHOWN = 10


def when(moment: datetime) -> SafeString:
    """ "3 minutes ago", with the exact time to be seen by hovering."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), _exact(moment), _ago(moment)
    )


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


def _ago(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 0:
        return gettext("in %s") % timeuntil(moment, depth=1)
    return gettext("%s ago") % timesince(moment, depth=1) if seconds >= 60 else gettext("just now")


def _exact(moment: datetime) -> str:
    return f"{local(moment):%Y-%m-%d %H:%M:%S %Z}".strip()


def events(session: UserSession) -> list[dict[str, Any]]:
    """What is known to have happened to a session, oldest first; what has no time comes last."""
    found: list[tuple[datetime | None, Any, str]] = [
        (session.created_at, _("Signed in"), session.ip_address or ""),
        (session.last_activity_at, _("Last seen"), session.last_ip_address or ""),
        (session.refreshed_at, _("Tokens refreshed"), ""),
        (session.last_provider_sync_at, _("External service"), session.last_provider_accessed),
        (session.revoked_at, _("Revoked"), label(session.revoked_reason)),
    ]
    if not session.is_revoked:
        is_over = session.expires_at <= timezone.now()
        found.append((session.expires_at, _("Expired") if is_over else _("Expires"), ""))
    content_type = ContentType.objects.get_for_model(UserSession)
    entries = LogEntry.objects.filter(content_type=content_type, object_id=str(session.pk))
    found += [
        (entry.action_time, entry.get_change_message(), str(entry.user))
        for entry in entries.select_related("user")[:SHOWN]
    ]
    events = sorted((event for event in found if event[0]), key=lambda event: event[0] or timezone.now())
    kept: list[dict[str, Any]] = [
        {"when": f"{_exact(moment)} · {_ago(moment)}", "what": what, "detail": detail}
        for moment, what, detail in events
        if moment
    ]
    if session.is_trusted:
        kept.append({"what": _("Trusted now")})
    if session.suspicious_activity_count:
        kept.append({"what": _("Flagged as suspicious"), "detail": session.suspicious_activity_count})
    return kept


def rendered(template: str, context: dict[str, Any]) -> SafeString:
    return render_to_string(f"{TEMPLATES}/{template}.html", context)

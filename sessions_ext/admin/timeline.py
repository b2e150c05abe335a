"""How the admin shows one session."""

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import UserSession
from ..reasons import label
from ..templatetags.sessions_ext_admin import ago, exact
from .actions import TEMPLATES

SHOWN = 10


def events(session: UserSession) -> list[dict[str, Any]]:
    """What is known to have happened to a session, oldest first; what has no time comes last."""
    found: list[tuple[datetime | None, Any, str]] = [
        (session.created_at, _("Signed in"), session.ip_address or ""),
        (session.last_activity_at, _("Last seen"), session.last_ip_address or ""),
        (session.refreshed_at, _("Tokens refreshed"), ""),
        (session.last_provider_sync_at, _("External service"), session.last_provider_accessed),
        (session.revoked_at, _("Revoked"), label(session.revoked_reason)),
        (session.disowned_at, _("Not recognised by the user"), ""),
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
        {"when": f"{exact(moment)} · {ago(moment)}", "what": what, "detail": detail}
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

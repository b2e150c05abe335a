"""What the admin shows of a session: the columns of the list, and the fields of a row's page."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import UserSession
from ..templatetags.sessions_ext_admin import badge, when
from .actions import SessionActions
from .timeline import SHOWN, events, rendered

NONE = "\u2013"


class SessionColumns(SessionActions):
    list_display = ("of_user", "device", "address", "last_active", "state", "trusted", "flagged")
    list_display_links = ("device",)
    empty_value_display = NONE
    fieldsets = (
        (None, {"fields": ("of_user", "state", "timeline")}),
        (_("Device"), {"fields": ("device", "trusted", "user_agent")}),
        (_("Address"), {"fields": ("ip_address", "location", "last_ip_address")}),
        (_("External services"), {"fields": ("providers",)}),
        (_("Other active sessions of this user"), {"fields": ("others",)}),
        (_("Record"), {"fields": ("id", "created_at", "last_activity_at", "expires_at", "flagged")}),
    )
    readonly_fields = (
        "id",
        "of_user",
        "state",
        "timeline",
        "device",
        "trusted",
        "providers",
        "others",
        "flagged",
    )

    @admin.display(description=_("user"))
    def of_user(self, session: UserSession) -> str:
        user = self._linked(session.user)
        if not session.impersonator:
            return user
        staff = format_html(gettext("acted as by {}"), self._linked(session.impersonator))
        return format_html('{} <small class="session-acting">{}</small>', user, staff)

    def _linked(self, user: Any) -> str:
        model = user._meta
        if not self.admin_site.is_registered(model.model):
            return str(user)
        name = f"admin:{model.app_label}_{model.model_name}_change"
        url = reverse(name, args=[quote(user.pk)], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, user)

    @admin.display(description=_("device"))
    def device(self, session: UserSession) -> str:
        return session.device_info or gettext("Unknown device")

    @admin.display(description=_("IP address"))
    def address(self, session: UserSession) -> str:
        address = session.last_ip_address or session.ip_address or NONE
        if not session.location:
            return address
        return format_html('{} <small class="quiet">{}</small>', address, session.location)

    @admin.display(description=_("last active"))
    def last_active(self, session: UserSession) -> str:
        return when(session.last_activity_at)

    @admin.display(description=_("state"))
    def state(self, session: UserSession) -> str:
        return badge(session)

    @admin.display(description=_("trusted"))
    def trusted(self, session: UserSession) -> str:
        if not session.is_trusted:
            return NONE
        return format_html('<span class="session-state session-active">{}</span>', gettext("Trusted"))

    @admin.display(description=_("flagged"))
    def flagged(self, session: UserSession) -> str:
        count = session.suspicious_activity_count
        return format_html('<span class="session-flagged">{}</span>', count) if count else NONE

    @admin.display(description=_("timeline"))
    def timeline(self, session: UserSession) -> str:
        return rendered("timeline", {"events": events(session), "session": session})

    @admin.display(description=_("sessions"))
    def others(self, session: UserSession) -> str:
        shown: Any = session.shown_beside  # type: ignore[attr-defined]
        others = shown.for_user(session.user_id).active().exclude(pk=session.pk)
        context = {"user_id": session.user_id, "list_url": self.list_url}
        return rendered("sessions", {"sessions": others.newest_first()[:SHOWN], **context})

    @admin.display(description=_("services"))
    def providers(self, session: UserSession) -> str:
        return ", ".join(map(str, session.providers_accessed)) or NONE

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .managers import UserSessionQuerySet
from .models import RevokedReason, UserSession


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [("active", _("Active")), ("expired", _("Expired")), ("revoked", _("Revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> QuerySet[UserSession]:
        state = self.value()
        return getattr(queryset, state)() if state in ("active", "expired", "revoked") else queryset


class ReasonFilter(admin.SimpleListFilter):
    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return list(RevokedReason.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> QuerySet[UserSession]:
        reason = (self.value() or "").replace("\0", "")  # which PostgreSQL would refuse
        return queryset.filter(revoked_reason=reason) if reason else queryset


@admin.register(UserSession)
class UserSessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows the sessions and revokes them; changes nothing else."""

    list_display = (
        "user",
        "device_info",
        "state",
        "ip_address",
        "location",
        "created_at",
        "last_activity_at",
    )
    list_filter = (StateFilter, ReasonFilter, "is_trusted", "created_at")
    search_help_text = _("User name, e-mail address, IP address or id")
    ordering = ("-created_at", "-id")
    readonly_fields = ("id",)
    actions = ("revoke_selected",)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        user_model = get_user_model()
        names = {user_model.USERNAME_FIELD, user_model.get_email_field_name()}
        known = names.intersection(field.name for field in user_model._meta.get_fields())
        return [*(f"user__{name}" for name in sorted(known)), "^ip_address", "^last_ip_address", "=id"]

    @admin.display(description=_("state"))
    def state(self, session: UserSession) -> str:
        if session.is_revoked:
            return _("Revoked: %s") % reason_label(session.revoked_reason)
        return str(_("Active") if session.is_active else _("Expired"))

    @admin.action(description=_("Revoke selected sessions"), permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: UserSessionQuerySet) -> None:
        count = queryset.revoke(RevokedReason.ADMIN)
        message = ngettext("%d session was revoked.", "%d sessions were revoked.", count) % count
        self.message_user(request, message, messages.SUCCESS if count else messages.WARNING)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sessions_ext.revoke_usersession")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UserSession | None = None) -> bool:
        return False


def reason_label(reason: str) -> str:
    """A reason as a person reads it; free text as it stands."""
    return str(dict(RevokedReason.choices).get(reason, reason))

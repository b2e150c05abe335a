"""The filters of the admin's list."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ..conf import conf
from ..models import RevokedReason
from ..querysets import UserSessionQuerySet
from .overview import newest_clients


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        idle = [("idle", _("Idle"))] if conf.IDLE_TIMEOUT else []
        return [("active", _("Active")), *idle, ("expired", _("Expired")), ("revoked", _("Revoked"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        filters: dict[str | None, Callable[[], UserSessionQuerySet]] = {
            "active": queryset.active,
            "idle": lambda: queryset.expired().filter(expires_at__gt=now),
            "expired": lambda: queryset.filter(is_revoked=False, expires_at__lte=now),
            "revoked": queryset.revoked,
        }
        chosen = filters.get(self.value())
        return chosen() if chosen else queryset


class ReasonFilter(admin.SimpleListFilter):
    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return list(RevokedReason.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        reason = self.value()
        if not reason:
            return queryset
        wanted = Q(revoked_reason=reason) | Q(revoked_reason__startswith=f"{reason}: ")
        # The first condition is the cheaper one to reject rows by.
        return queryset.revoked().filter(revoked_reason__startswith=reason).filter(wanted)


class ImpersonatedFilter(admin.SimpleListFilter):
    title = _("who acts")
    parameter_name = "impersonated"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [("no", _("The user")), ("yes", _("Somebody as the user"))] if conf.IMPERSONATOR else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        is_own = {"no": True, "yes": False}.get(self.value() or "")
        return queryset if is_own is None else queryset.filter(impersonator__isnull=is_own)


class DeviceFilter(admin.SimpleListFilter):
    """Offers the devices of the newest sign-ins. The URL takes any other as well."""

    title = _("device")
    parameter_name = "device"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        devices = newest_clients(model_admin.get_queryset(request)).devices
        common = [device for device, number in devices.most_common(15) if device and number]
        if (chosen := self.value()) and chosen not in common:
            common.append(chosen)
        return [(device, device) for device in common]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        device = self.value()
        return queryset.filter(device_info=device) if device else queryset


class LastActiveFilter(admin.SimpleListFilter):
    title = _("last active")
    parameter_name = "within"
    choices_in_minutes = {
        "5": _("Past 5 minutes"),
        "60": _("Past hour"),
        "1440": _("Past 24 hours"),
        "10080": pgettext_lazy("last active", "Past 7 days"),
    }

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return list(self.choices_in_minutes.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        minutes = self.value()
        if minutes not in self.choices_in_minutes:
            return queryset
        return queryset.filter(last_activity_at__gte=timezone.now() - timedelta(minutes=int(minutes)))

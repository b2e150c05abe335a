"""A user's newest sessions on the page of that user."""

from typing import Any

from django.contrib import admin
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import UserSession
from ..querysets import UserSessionQuerySet
from .actions import TEMPLATES, list_url
from .timeline import SHOWN


class _NoForms(BaseInlineFormSet):  # type: ignore[type-arg]
    """Has no forms, so that saving a user neither reads nor writes a session."""

    def get_queryset(self) -> Any:
        return UserSession.objects.none()

    def sessions(self) -> UserSessionQuerySet:
        rows: UserSessionQuerySet = UserSession.objects.for_user(self.instance)
        return rows.newest_first()[:SHOWN]


class UserSessionInline(admin.TabularInline):  # type: ignore[type-arg]
    """A user's newest sessions, for the `inlines` of the project's UserAdmin. Shown to those who may
    view sessions."""

    model = UserSession
    fk_name = "user"
    formset = _NoForms
    template = f"{TEMPLATES}/inline.html"
    extra = max_num = 0
    can_delete = False
    fields = ("device_info",)
    readonly_fields = fields
    verbose_name_plural = _("newest sessions")

    class Media:
        css = {"all": ["sessions_ext/admin.css"]}

    @property
    def list_url(self) -> str:
        return list_url(self.admin_site)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

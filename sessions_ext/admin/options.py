from functools import partial
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from ..clients import normalise_ip
from ..conf import conf
from ..db.expressions import IsWithin
from ..models import UserSession
from . import overview
from .actions import EVERYWHERE, TEMPLATES
from .changelist import BoundedPaginator, UserSessionChangeList
from .columns import SessionColumns
from .filters import DeviceFilter, ImpersonatedFilter, LastActiveFilter, ReasonFilter, StateFilter


@admin.register(UserSession)
class UserSessionAdmin(SessionColumns):
    """Shows the sessions and ends them; rewrites no history."""

    list_filter = (
        StateFilter,
        ReasonFilter,
        "is_trusted",
        ImpersonatedFilter,
        LastActiveFilter,
        DeviceFilter,
    )
    list_select_related = ("user", "impersonator")
    list_per_page = 50
    date_hierarchy = "created_at"
    sortable_by = ()
    ordering = ("-pk",)
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_help_text = _(
        "User name, e-mail address, IP address, network such as 203.0.113.0/24, or session id"
    )

    class Media:
        css = {"all": ["sessions_ext/admin.css"]}

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        user_model = get_user_model()
        names = {user_model.USERNAME_FIELD, user_model.get_email_field_name()}
        known = names.intersection(field.name for field in user_model._meta.get_fields())
        return [f"user__{name}" for name in sorted(known)]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if sought := _id_or_address(term):
            # Find the users first, or the database would join every session with its user.
            users = get_user_model()._base_manager.filter(**{get_user_model().USERNAME_FIELD: term})
            return queryset.filter(sought | Q(user_id__in=list(users.values_list("pk", flat=True)))), False
        return super().get_search_results(request, queryset, term)

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> BoundedPaginator:
        paginator: Any = super().get_paginator(request, *args, **kwargs)
        paginator.is_at_beginning = PAGE_VAR not in request.GET
        return paginator  # type: ignore[no-any-return]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UserSessionChangeList]:
        return UserSessionChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # A value that no database takes is treated as Django treats any wrong parameter.
        wrong = HttpResponseRedirect(f"{request.path}?e=1")
        if any("\0" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            return wrong
        context = {
            # Django's own title is long, and in some languages reaches below the buttons.
            "title": capfirst(self.opts.verbose_name_plural),
            "may_end": self.has_revoke_permission(request),
            **(extra_context or {}),
        }
        try:
            return super().changelist_view(request, context)
        except (ValidationError, OverflowError, DataError):
            return wrong

    def get_urls(self) -> list[Any]:
        return [
            path(
                "overview/",
                self.admin_site.admin_view(self.overview_view),
                name="sessions_ext_usersession_overview",
            ),
            path(
                "end-all/",
                self.admin_site.admin_view(self.end_all_view),
                name="sessions_ext_usersession_end_all",
            ),
            *super().get_urls(),
        ]

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        sessions: Any = self.get_queryset(request)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Sessions at a glance"),
            "overview": overview.overview(sessions),
            "shows_impersonated": conf.IMPERSONATOR,
            "list_url": self.list_url,
            "opts": self.opts,
            "media": self.media,
        }
        return TemplateResponse(request, f"{TEMPLATES}/overview.html", context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        session: Any = super().get_object(request, object_id, from_field)
        if session is not None:
            session.shown_beside = self.get_queryset(request)
        return session

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        session: UserSession = context["original"]
        # From Django 6.1 on, the page has the actions themselves.
        if not EVERYWHERE and session.is_active and self.has_revoke_permission(request):
            context["revoke_url"] = self.list_url
        return super().render_change_form(request, context, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UserSession | None = None) -> bool:
        return False


def _id_or_address(term: str) -> Q | None:
    if pk := _parsed(UUID, term):
        return Q(pk=pk)
    if "/" in term and "%" not in term and (network := _parsed(partial(ip_network, strict=False), term)):
        within = (IsWithin(column, str(network)) for column in ("ip_address", "last_ip_address"))
        return Q(next(within)) | Q(next(within))
    if ip_address := _parsed(ip_network, term) and normalise_ip(term):
        return Q(ip_address=ip_address) | Q(last_ip_address=ip_address)
    return None


def _parsed(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None

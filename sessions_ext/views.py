"""The page "Your devices". It works without JavaScript: every change is a form, which needs its CSRF token
even in a project without the CSRF middleware."""

from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import NoReverseMatch, get_script_prefix, is_valid_path, reverse
from django.utils.cache import patch_cache_control
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView, View

from . import make_room, step_up
from .conf import conf
from .forms import PasswordForm
from .models import RevokedReason, UserSession
from .new_device import session_of_link
from .querysets import UserSessionQuerySet


class SessionsMixin:
    """The sessions of the person who asks, for a view of any kind. Needs `self.request`."""

    request: HttpRequest
    active_shown, ended_shown = 100, 10

    @property
    def current(self) -> Any:
        """The session of the request. None where another middleware has replaced `request.user`: the
        session is then somebody else's."""
        session = getattr(self.request, "user_session", None)
        return session if session and session.user_id == self.request.user.pk else None

    @property
    def own_sessions(self) -> UserSessionQuerySet:
        # Not of a replica: whoever changes something and looks sees it changed.
        sessions: UserSessionQuerySet = UserSession.objects.primary.for_user(self.request.user)
        return sessions

    @cached_property
    def active_sessions(self) -> list[UserSession]:
        """The current one first, then the newest. One query."""
        rows = list(self.own_sessions.active().newest_first()[: self.active_shown])
        here = [self.current] if self.current else []
        return here + [row for row in rows if row not in here]

    @cached_property
    def ended_sessions(self) -> list[UserSession]:
        """The latest end first. One query."""
        return list(self.own_sessions.ended()[: self.ended_shown])


@method_decorator([never_cache, csrf_protect], name="dispatch")
class SessionListView(LoginRequiredMixin, SessionsMixin, TemplateView):
    template_name = "sessions_ext/list.html"


@method_decorator([never_cache, csrf_protect], name="dispatch")
class ActionView(LoginRequiredMixin, RedirectURLMixin, SessionsMixin, View):
    """Does something by POST and goes back to the list, or to where the form's `next` says."""

    def get_default_redirect_url(self) -> str:
        return reverse("sessions_ext:list")

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        # Where people come after a login that this view asked for.
        url = self.get_success_url()
        return HttpResponseRedirect(self.get_default_redirect_url() if url == request.path else url)

    def done(self, message: str) -> HttpResponse:
        messages.success(self.request, message, fail_silently=True)
        return HttpResponseRedirect(self.get_success_url())


class TrustView(ActionView):
    """Marks the device of an active session as trusted, or with `trust=no` as not trusted."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        is_trusted = request.POST.get("trust") != "no"
        session = self.own_sessions.filter(pk=pk).first()
        if session is None or not (session.trust() if is_trusted else session.untrust()):
            raise Http404
        return self.done(
            _("You now trust this device.") if is_trusted else _("You no longer trust this device.")
        )


class PasswordPrompt(LoginRequiredMixin, View):
    """The page that asks people for their password, and what it does with the answer."""

    template_name = "sessions_ext/reauthenticate.html"
    purpose = ""

    @property
    def current(self) -> Any:
        return getattr(self.request, "user_session", None)

    def prompt(self, **context: Any) -> HttpResponse | None:
        """None where the right password was sent: from now on the session is fresh."""
        request = self.request
        form = PasswordForm(request, data=request.POST if "password" in request.POST else None)
        if form.is_bound and form.is_of_another_session:
            form = PasswordForm(request)
        if form.is_valid() and (not self.current or step_up.reauthenticated(request)):
            return None
        status = 429 if form.seconds else 200
        context = {"form": form, "view": self, **context}
        response = render(request, self.template_name, context, status=status)
        if form.seconds:
            response.headers["Retry-After"] = str(ceil(form.seconds))
        return response


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class ReauthenticatingView(PasswordPrompt, ActionView):
    """Asks for the password first, when REAUTHENTICATE_AFTER has passed since the last time.
    Somebody without a password goes to REAUTHENTICATE_URL, if there is one."""

    act: Callable[..., HttpResponse]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not self.is_sensitive():
            return self.act()
        if step_up.is_acting(request):
            raise PermissionDenied
        if self.is_authenticated_lately():
            return self.act()
        if not step_up.has_password(request):
            url = step_up.url_elsewhere(request)
            return redirect(with_query(url, next=self.get_success_url())) if url else self.act()
        return self.prompt(next=self.get_redirect_url(), back=self.get_success_url()) or self.act()

    def is_authenticated_lately(self) -> bool:
        if self.current:
            return bool(self.current.is_fresh())
        return conf.REAUTHENTICATE_AFTER is None

    def is_sensitive(self) -> bool:
        return True


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
@method_decorator([never_cache, csrf_protect], name="dispatch")
class ReauthenticateView(PasswordPrompt):
    """Where fresh_login_required() sends people to confirm who they are. They come back by the signed
    `next`; without a valid one they go to "Your devices"."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if step_up.is_acting(request):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        where = step_up.destination(request, request.GET.get("next", ""))
        if where and where.asked_at is not None:
            if step_up.is_confirmed_since(request, where.asked_at):
                return HttpResponseRedirect(where.url)
            # Not again: they would go round in circles.
            again = step_up.link_to_confirm(request, where.url)
            return render(request, "sessions_ext/not_confirmed.html", {"again": again}, status=403)
        if step_up.has_password(request):
            return self.post(request)
        url = where.url if where else reverse("sessions_ext:list")
        back = step_up.link_to_confirm(request, url, asked_at=step_up.now())
        elsewhere = step_up.url_elsewhere(request) or resolve_url(settings.LOGIN_URL)
        return redirect(with_query(elsewhere, next=back))

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("next") or request.GET.get("next", "")
        where = step_up.destination(request, token)
        url = where.url if where else reverse("sessions_ext:list")
        return self.prompt(next=token, back="") or HttpResponseRedirect(url)


class RevokeView(ReauthenticatingView):
    """Signs out one session. To sign out the current one is a logout, and needs no password."""

    purpose = "sign out"

    def is_sensitive(self) -> bool:
        session = self.own_sessions.filter(pk=self.kwargs["pk"]).first()
        if session is None:
            raise Http404
        self.session = session
        return self.session != self.current and self.session.is_active

    def act(self) -> HttpResponse:
        if self.session == self.current:
            logout(self.request)
            for to in (settings.LOGOUT_REDIRECT_URL, settings.LOGIN_URL):
                if url := usable_url(to):
                    return redirect(url)
            return render(self.request, "sessions_ext/signed_out.html")
        if self.session.is_active and self.session.revoke(RevokedReason.USER):
            return self.done(_("That device has been signed out."))
        return self.done(_("That session had already ended."))


class RevokeOthersView(ReauthenticatingView):
    """Signs out every session but the current one."""

    purpose = "sign out"

    def act(self) -> HttpResponse:
        others = self.own_sessions.active()
        if self.current:
            others = others.exclude(pk=self.current.pk)
        count = others.revoke(RevokedReason.USER)
        return self.done(
            ngettext(
                "%d other session has been signed out.", "%d other sessions have been signed out.", count
            )
            % count
        )


@method_decorator(login_not_required, name="dispatch")
@method_decorator([never_cache, csrf_protect], name="dispatch")
class SecretLinkView(TemplateView):
    """A page for whoever has its address, signed in or not."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "same-origin"  # the address is a secret
        patch_cache_control(response, private=True)
        return response


class NotMeView(SecretLinkView):
    """What the link of the new device e-mail opens. GET changes nothing, since mail scanners
    follow links; POST disowns the session that the link names, which ends it if it is active."""

    template_name = "sessions_ext/not_me.html"

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        session, status = session_of_link(token)
        if status != 200:
            return self.answer("invalid", None, status)
        is_asked = session and (session.is_active or not session.disowned_at)
        return self.answer("ask" if is_asked else "ended", session, status)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        session, status = session_of_link(token)
        if status != 200:
            return self.answer("invalid", None, status)
        if session is None or not session.disown():
            return self.answer("ended", session, status)
        is_ended = session.revoked_reason == RevokedReason.NOT_ME
        return self.answer("done" if is_ended else "noted", session, status)

    def answer(self, state: str, session: UserSession | None, status: int) -> HttpResponse:
        context = self.get_context_data(state=state, session=session, reset_url=_reset_url())
        return self.render_to_response(context, status=status)


class MakeRoomView(SecretLinkView):
    """Where whoever met the limit ends one of their sessions, to sign in again then: see make_room."""

    template_name = "sessions_ext/make_room.html"

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        holder = make_room.holder_of(token)
        if holder is None or make_room.is_over(holder):
            return self.answer("invalid", status=404)
        if make_room.has_room(holder.user, request):
            return self.answer("done")
        sessions = make_room.sessions_in_the_way(holder.user)
        return self.answer("ask", sessions=sessions[: SessionsMixin.active_shown])

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        holder = make_room.holder_of(token)
        if holder:
            with suppress(ValidationError):  # what is no id ends nothing
                make_room.end(holder, request.POST.get("session", ""), request)
        return self.get(request, token)

    def answer(self, state: str, status: int = 200, **context: Any) -> HttpResponse:
        login, after = usable_url(settings.LOGIN_URL) or "", self.request.GET.get("next", "")
        login_url = with_query(login, next=after) if login and after else login
        here = reverse("sessions_ext:make_room", args=[self.kwargs["token"]])
        page = with_query(here, next=after) if after else here  # which a refused login shows as well
        context = self.get_context_data(state=state, page=page, login_url=login_url, **context)
        return self.render_to_response(context, status=status)


def with_query(url: str, **query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def usable_url(to: str | None) -> str | None:
    """The URL that a setting such as LOGIN_URL names, or None where it leads nowhere on this site."""
    try:
        url = resolve_url(to) if to else ""
    except NoReverseMatch:
        return None
    if url.startswith("/") and not url.startswith("//") and not _is_path(url.partition("?")[0]):
        return None
    return url or None


def _is_path(url: str) -> bool:
    path = "/" + url.removeprefix(get_script_prefix())
    # LocaleMiddleware redirects to a path with a language, and CommonMiddleware to one with a slash.
    languages = "", f"/{get_language()}"
    slashes = ("", "/") if settings.APPEND_SLASH else ("",)
    return any(is_valid_path(f"{language}{path}{slash}") for language in languages for slash in slashes)


def _reset_url() -> str:
    for name in ("password_reset", "account_reset_password", "admin_password_reset"):
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return ""

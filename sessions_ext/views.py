"""The page "Your devices". It works without JavaScript: every change is a form, which needs its CSRF token
even in a project without the CSRF middleware."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView, View

from . import authentication
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


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class ReauthenticatingView(ActionView):
    """Asks for the password first, when REAUTHENTICATE_AFTER has passed since the last time.
    Somebody without a password goes to REAUTHENTICATE_URL, if there is one."""

    template_name = "sessions_ext/reauthenticate.html"
    act: Callable[..., HttpResponse]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not self.is_sensitive() or self.is_authenticated_lately():
            return self.act()
        user: Any = request.user
        if not user.has_usable_password():
            if not conf.REAUTHENTICATE_URL:
                return self.act()
            url = resolve_url(conf.REAUTHENTICATE_URL)
            query = urlencode({"next": self.get_success_url()})
            return redirect(f"{url}{'&' if '?' in url else '?'}{query}")
        form = PasswordForm(request, request.POST if "password" in request.POST else None)
        if form.is_valid():
            if self.current:
                authentication.renew(self.current)
            # Keeps the login valid if the password's hash was renewed, and gives it a new session key.
            update_session_auth_hash(request, form.user)
            return self.act()
        return render(
            request, self.template_name, {"form": form, "next": self.get_redirect_url(), "view": self}
        )

    def is_authenticated_lately(self) -> bool:
        if conf.REAUTHENTICATE_AFTER is None:
            return True
        if not self.current:
            return False
        return bool(timezone.now() < self.current.authenticated_at + conf.REAUTHENTICATE_AFTER)

    def is_sensitive(self) -> bool:
        return True


class RevokeView(ReauthenticatingView):
    """Signs out one session. To sign out the current one is a logout, and needs no password."""

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
class NotMeView(TemplateView):
    """What the link of the new device e-mail opens. GET changes nothing, since mail scanners
    follow links; POST disowns the session that the link names, which ends it if it is active."""

    template_name = "sessions_ext/not_me.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "same-origin"  # the address is a secret
        patch_cache_control(response, private=True)
        return response

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


def usable_url(to: str | None) -> str | None:
    """The URL that a setting such as LOGIN_URL names, or None where it leads nowhere on this site."""
    try:
        url = resolve_url(to) if to else ""
        if url.startswith("/") and not url.startswith("//"):
            resolve("/" + url.partition("?")[0].removeprefix(get_script_prefix()))
    except (NoReverseMatch, Resolver404):
        return None
    return url or None


def _reset_url() -> str:
    for name in ("password_reset", "account_reset_password", "admin_password_reset"):
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return ""

"""Step-up: somebody who is signed in proves again who they are, before something sensitive (ASVS 5.0, 7.5.1
and 7.5.3). A session is fresh for a while after its login and after each such proof."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from . import authentication, passwords, throttle
from .conf import conf, is_dotted
from .exceptions import TooManyAttempts
from .models import UserSession
from .requests import carries_token
from .store import verified_store

__all__ = [
    "FreshLoginRequiredMixin",
    "areauthenticated",
    "fresh_login_required",
    "is_fresh",
    "reauthenticated",
]

LEAST = timedelta(seconds=30)  # it takes a moment to come back from where the proof was given
ATTEMPTS, WINDOW = 5, timedelta(minutes=1)
SALT, LINK_LIFETIME = "sessions_ext.step_up", timedelta(hours=1)
PROBLEM_TYPE = "application/problem+json"
DETAIL = gettext_lazy("Confirm your password, or sign in again.")


def fresh_login_required(view: Any = None, *, within: timedelta | None = None) -> Any:
    """A decorator for views, sync or async: the session has to be fresh, see UserSession.is_fresh(). Whoever
    has a page is redirected to the one that asks, and comes back. A script (fetch, htmx) is answered with
    401 and the problem `insufficient_user_authentication` (RFC 9470). Needs sessions_ext.urls."""
    if view is None:
        return lambda view: fresh_login_required(view, within=within)

    def refused(request: HttpRequest) -> HttpResponse | None:
        return None if is_fresh(request, within) else refusal(request, within)

    if iscoroutinefunction(view):

        @wraps(view)
        async def acall(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await sync_to_async(refused)(request) or await view(request, *args, **kwargs)

        return acall

    @wraps(view)
    def call(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return refused(request) or view(request, *args, **kwargs)

    return call


class FreshLoginRequiredMixin:
    """fresh_login_required() for a class-based view."""

    fresh_within: timedelta | None = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        view: Any = super().as_view(**initkwargs)  # type: ignore[misc]
        within = initkwargs.get("fresh_within", cls.fresh_within)
        return fresh_login_required(view, within=within)  # type: ignore[no-any-return]


def is_fresh(request: HttpRequest, within: timedelta | None = None) -> bool:
    """Whether the request's session is fresh, see UserSession.is_fresh(). The shortest `within` is 30
    seconds here, or nobody would ever be back in time."""
    session = _session_of(request)
    within = conf.REAUTHENTICATE_AFTER if within is None else within
    if is_acting(request):
        return False
    return session is not None and session.is_fresh(None if within is None else max(within, LEAST))


def reauthenticated(request: HttpRequest) -> bool:
    """Record that the person who makes this request has just proved who they are, for a page of the
    project's own or of another package. Their session is fresh from now on, in this browser alone: the
    session key becomes new (ASVS 5.0, 7.2.4), and a copy of the cookie from before is not fresh. Returns
    whether it is so: not in a session that has ended meanwhile, nor for who acts as somebody else.
    Behind a token call tokens.confirm(). One statement."""
    session = _session_of(request)
    if session is None or is_acting(request) or carries_token(request):
        return False
    if not authentication.renew(session):
        return False
    verified_store(request).renew_login(session)
    return True


async def areauthenticated(request: HttpRequest) -> bool:
    """See reauthenticated()."""
    return await sync_to_async(reauthenticated)(request)


def is_acting(request: HttpRequest) -> bool:
    """Whether the person who makes the request acts as somebody else: in a session of that user, or in their
    own (as by django-impersonate). They have no proof to give."""
    session = _session_of(request)
    return session is not None and bool(session.impersonator_id or session.user_id != request.user.pk)


def may_be_asked(request: HttpRequest) -> bool:
    """Whether there is a way for this person to prove again who they are. Who acts as somebody else is asked
    as well, and has none."""
    return is_acting(request) or bool(conf.REAUTHENTICATE_URL) or has_password(request)


def url_elsewhere(request: HttpRequest) -> str:
    """REAUTHENTICATE_URL for this person, or ""."""
    to = conf.REAUTHENTICATE_URL or ""
    if is_dotted(to):
        to = import_string(to)(request)
    return resolve_url(to) if to else ""


def has_password(request: HttpRequest) -> bool:
    user: Any = request.user
    path = getattr(user, "backend", None)
    if not carries_token(request):
        path = request.session.get(BACKEND_SESSION_KEY)
    return passwords.has_password(user, path)


@sensitive_variables()
def is_password(request: HttpRequest, password: str) -> bool:
    """Whether this is the password of the person who makes the request. Raises TooManyAttempts after five
    wrong ones in a minute. They are counted in each session, so that a stolen one does not keep its owner
    from ending it."""
    user: Any = request.user
    session = _session_of(request)
    key = f"sessions_ext.confirm.{session.pk if session else user.pk}"
    if seconds := throttle.wait(key, ATTEMPTS, WINDOW.total_seconds(), what="a confirmation"):
        raise TooManyAttempts(seconds)
    is_right = passwords.is_password_of(request, user, password)
    if is_right:
        throttle.forget(key)
    return is_right


def refusal(request: HttpRequest, within: timedelta | None = None) -> HttpResponse:
    """The answer to whoever is not fresh: the way to the page that asks, or the problem for a script. Raises
    PermissionDenied for who acts as somebody else: they have no proof to give."""
    is_anonymous = not request.user.is_authenticated
    if is_acting(request):
        raise PermissionDenied("Whoever acts as somebody else cannot confirm who they are.")
    if not wants_page(request):
        return _unauthenticated() if is_anonymous else _insufficient(within)
    path = request.get_full_path()
    return redirect_to_login(path) if is_anonymous else HttpResponseRedirect(link_to_confirm(request, path))


def wants_page(request: HttpRequest) -> bool:
    """Whether a browser will show the answer as a page, and not a script read it."""
    headers = request.headers
    is_called = "HX-Request" in headers or headers.get("X-Requested-With") == "XMLHttpRequest"
    if is_called or carries_token(request):
        return False
    if mode := headers.get("Sec-Fetch-Mode"):
        return mode == "navigate"
    sends_json = request.content_type == "application/json"
    return (
        not sends_json and request.get_preferred_type(["text/html", "application/json"]) != "application/json"
    )


def max_age(within: timedelta | None = None) -> int:
    """How old a proof may be, in seconds."""
    within = conf.REAUTHENTICATE_AFTER if within is None else within
    return int(max(within or LEAST, LEAST).total_seconds())


def challenge(seconds: int | None = None) -> str:
    """The WWW-Authenticate of an answer to who is not fresh: the proof may be so many seconds old (RFC 9470,
    3)."""
    parts = 'Bearer error="insufficient_user_authentication"'
    return parts if seconds is None else f'{parts}, max_age="{seconds}"'


def note_challenge(request: Any, within: timedelta | None) -> None:
    """Have the middleware add the challenge to an answer 401 that somebody else makes."""
    request.sessions_ext_max_age = max_age(within)


def noted_max_age(request: Any) -> int | None:
    return getattr(request, "sessions_ext_max_age", None)


class Destination(NamedTuple):
    """Where somebody goes who has confirmed; `asked_at` is when another page was told to ask them."""

    url: str
    asked_at: float | None


def link_to_confirm(request: HttpRequest, url: str, asked_at: float | None = None) -> str:
    """The page that asks, from where one person, in one session, comes back to a URL of this site. Once
    another page has asked them, the session may be another one."""
    session = _session_of(request)
    owner = [str(request.user.pk), str(session.pk) if session and asked_at is None else ""]
    token = signing.dumps([*owner, url, asked_at], salt=SALT)
    return f"{reverse('sessions_ext:reauthenticate')}?{urlencode({'next': token})}"


def has_page() -> bool:
    """Whether the project has the page that asks: sessions_ext.urls."""
    try:
        reverse("sessions_ext:reauthenticate")
    except NoReverseMatch:
        return False
    return True


def destination(request: HttpRequest, token: str) -> Destination | None:
    """Where a link leads; None for one that is not signed, not this person's or this session's, or older
    than an hour."""
    session = _session_of(request)
    try:
        user_id, session_id, url, asked_at = signing.loads(token, salt=SALT, max_age=LINK_LIFETIME)
    except (signing.BadSignature, ValueError):
        return None
    is_theirs = user_id == str(request.user.pk)
    if not is_theirs or session_id not in ("", str(session.pk) if session else ""):
        return None
    is_here = url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())
    return Destination(url, asked_at) if is_here else None


def is_confirmed_since(request: HttpRequest, asked_at: float) -> bool:
    """Whether the person has proved who they are since another page was told to ask them."""
    session = _session_of(request)
    return session is not None and session.authenticated_at.timestamp() >= asked_at


def now() -> float:
    return timezone.now().timestamp()


def _session_of(request: HttpRequest) -> UserSession | None:
    return getattr(request, "user_session", None) or None


def _unauthenticated() -> JsonResponse:
    problem = {"title": "Unauthorized", "status": 401, "code": "not_authenticated"}
    detail = _("Sign in, or refresh the access token.")
    return _problem(problem | {"detail": detail}, "Bearer")


def _insufficient(within: timedelta | None) -> JsonResponse:
    problem = {"title": "Unauthorized", "status": 401, "code": "insufficient_user_authentication"}
    more = {"detail": str(DETAIL), "max_age": max_age(within)}
    return _problem(problem | more, challenge(max_age(within)))


def _problem(problem: dict[str, Any], challenge: str) -> JsonResponse:
    headers = {"WWW-Authenticate": challenge, "Cache-Control": "no-store"}
    answer = {"type": "about:blank"} | problem
    return JsonResponse(answer, status=401, content_type=PROBLEM_TYPE, headers=headers)

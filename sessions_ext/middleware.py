import logging
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from functools import cache, partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.http import HttpRequest, HttpResponseBase, HttpResponseServerError, QueryDict
from django.urls import get_script_prefix, resolve
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode

from . import activity, authentication, step_up
from .conf import conf
from .endings import SessionEnded
from .exceptions import SessionLimitReached
from .lifetime import cookie_end, longest
from .models import UserSession
from .reasons import RevokedReason
from .requests import AtHand, at_hand
from .store import (
    ID_KEY,
    VerifiedStore,
    as_verified,
    attach_user_session,
    session_of,
    user_of,
    verified_store,
)

SECOND = timedelta(seconds=1)

logger = logging.getLogger("sessions_ext")


class UserSessionMiddleware:
    """Verifies the login of a request against its row, when the session's data or `request.user` is
    first read, and not before. Sets `request.user_session`, which is the row, or falsy where nobody is
    logged in. Async code awaits `request.auser_session()`. `request.session_ended` is why the login that
    the browser had has ended, once, or None.

    Stands after AuthenticationMiddleware.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self.__acall__(request)
        attach(request)
        with at_hand(request) as now:
            try:
                response = self.get_response(request)
            except BaseException:  # the server gives up: there will be no answer
                finish(now, HttpResponseServerError())
                raise
            add_challenge(request, response)
            finish(now, response)
        return response

    async def __acall__(self, request: HttpRequest) -> Any:
        """See __call__()."""
        attach(request)
        with at_hand(request) as now:
            try:
                response = await self.get_response(request)
            except BaseException:  # the browser or the server gives up: there will be no answer
                await sync_to_async(finish)(now, HttpResponseServerError())
                raise
            add_challenge(request, response)
            if is_finish_due(now, response):
                await sync_to_async(finish)(now, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Show whoever has met the limit the page where they end one of their sessions, with a 403."""
        url = exception.url if isinstance(exception, SessionLimitReached) else ""
        if not url or not step_up.wants_page(request):
            return None
        page, after = copy(request), request.POST.get("next") or request.GET.get("next")
        page.method, page.GET = "GET", QueryDict(urlencode({"next": after} if after else {}))
        view, args, kwargs = resolve("/" + url.removeprefix(get_script_prefix()))
        response: HttpResponseBase = view(page, *args, **kwargs)
        response.status_code = 403
        return response


def add_challenge(request: HttpRequest, response: HttpResponseBase) -> None:
    """Say how to authenticate where an API refused a login that is not fresh."""
    seconds = step_up.noted_max_age(request)
    if seconds is not None and response.status_code == 401:
        response.headers.setdefault("WWW-Authenticate", step_up.challenge(seconds))


def attach(request: Any) -> None:
    """Make `request.session` a verified store, and take the request's user from the store that is there
    when the user is read."""
    if not hasattr(request, "user") or not isinstance(request.session, SessionBase):
        raise ImproperlyConfigured(
            "UserSessionMiddleware needs SessionMiddleware and AuthenticationMiddleware before it."
        )
    # Whoever has read a login by now has read it unverified.
    is_read = not isinstance(request.session, VerifiedStore)
    is_read = is_read and SESSION_KEY in getattr(request.session, "_session_cache", ())
    request_class: Any = type(request)
    request.__class__ = behind_middleware(request_class)
    # A user who is not lazy was set by another kind of login. Keep it.
    if isinstance(request.user, SimpleLazyObject):
        is_djangos = vars(request.user)["_setupfunc"].__module__ == AuthenticationMiddleware.__module__
        theirs = None if is_djangos else request.user
        request.user = SimpleLazyObject(lambda: _user(request, user_of(request), theirs, is_read))
        request.auser = partial(auser, request, theirs)
    attach_user_session(request)
    request.auser_session = partial(auser_session, request)


def _user(request: Any, user: Any, theirs: Any, is_read: bool) -> Any:
    """The user of the session, or AnonymousUser; or `theirs`, if another middleware has put its own user
    into the place of Django's. That one may know other logins, unless it was made from a login which
    turns out to have ended."""
    found = AnonymousUser() if user is None else user
    if theirs is None or (user is None and is_read):
        return found
    request._cached_user = found  # so that Django's own get_user() makes no query
    return theirs


async def auser(request: HttpRequest, theirs: Any = None) -> Any:
    return _user(request, await _ask(user_of, request), theirs, is_read=True)


async def auser_session(request: HttpRequest) -> UserSession | None:
    session: UserSession | None = await _ask(session_of, request)
    return session


async def _ask(question: Callable[[HttpRequest], Any], request: HttpRequest) -> Any:
    with at_hand(request):
        store = verified_store(request)
        if await store.ahas_key(SESSION_KEY) and store.login is None:  # written by other code
            return await sync_to_async(question)(request)
        return question(request)


def is_finish_due(now: AtHand, response: HttpResponseBase) -> bool:
    """Whether finish() has anything to do; no query."""
    return any(
        response.status_code >= 500
        or store.has_old_hash
        or store.old_key
        or activity.is_due(store.login.session)
        or is_saved(store, response)
        for store in logins(now)
    ) or keeps_cookie(now.request)


def finish(now: AtHand, response: HttpResponseBase) -> None:
    """After the view: end a login whose answer failed, record activity, and move the row's end with the
    cookie's. If the login ended meanwhile, keep the answer from changing the cookie."""
    try:
        for store in logins(now):
            if store.login.user is not None:
                _finish_login(store, store.login.session, now.request, response)
    except Error:
        # The view has done its work, and its answer stands.
        logger.warning("could not record the activity of a session", exc_info=True)
    if keeps_cookie(now.request):
        patch_vary_headers(response, ("Cookie",))


def logins(now: AtHand) -> list[Any]:
    """The stores of the request that hold a login. One that was read in a thread, which knows no request,
    may still be in `request.session`."""
    current = getattr(now.request, "session", None)
    if isinstance(current, VerifiedStore) and current not in now.stores:
        now.stores.append(current)
    return [store for store in now.stores if store.login is not None]


def keeps_cookie(request: HttpRequest) -> bool:
    store = getattr(request, "session", None)
    return isinstance(store, VerifiedStore) and store.keeps_cookie


def _finish_login(
    store: VerifiedStore, session: UserSession, request: HttpRequest, response: HttpResponseBase
) -> None:
    store.is_settled = is_saved(store, response)
    is_undone = authentication.is_rolled_back(session)
    if is_undone:
        store.set_login(session, store.user)
    is_error = response.status_code >= 500
    if store.old_key and (is_error or is_undone or request.session is not store):
        store.end_renewal(is_done=not (is_error or is_undone))
    if is_error and store.has_started:
        # Django saves no session with such an answer, so no browser will ever hold this login.
        session.revoke(RevokedReason.LOGOUT)
        return
    if is_saved(store, response) and SESSION_KEY not in store:
        session.revoke(RevokedReason.LOGOUT)  # other code has emptied the data
        return
    if store.has_old_hash or (store.has_changed_password and is_error):
        session.revoke(RevokedReason.PASSWORD_CHANGE)
        return
    if ID_KEY not in store and not session.is_adopted and store.get(SESSION_KEY) == str(session.user_id):
        store.set_login(session, store.user)  # other code has removed all keys but Django's
    moved = moved_end(store, session, response)
    is_recorded = activity.record(session, request, expires_at=moved, store=store)
    if is_saved(store, response) and not is_recorded and store.is_superseded():
        store.leave_cookie()


def is_saved(store: VerifiedStore, response: HttpResponseBase) -> bool:
    """Whether SessionMiddleware will save the session and set its cookie."""
    is_wanted = store.modified or settings.SESSION_SAVE_EVERY_REQUEST
    return bool(is_wanted and not store.is_empty() and response.status_code < 500)


def moved_end(store: VerifiedStore, session: UserSession, response: HttpResponseBase) -> Any:
    """The new end of the row, or None if it can stay. A row never ends before its cookie, and Django
    issues a new cookie with a new end when it saves modified data."""
    if not is_saved(store, response) or (end := cookie_end(store)) is None:
        return None
    latest = session.created_at + longest(session.is_impersonated)
    if session.is_adopted:  # it may have begun longer ago, and then ends when it would have
        latest = max(latest, session.expires_at)
    end, ahead = min(end, latest), conf.TOUCH_INTERVAL
    if abs(end - session.expires_at) > ahead:
        return end
    # A little further than needed, so that clicks every few seconds do not each cause a write.
    further = min(ahead, (end - timezone.now()) / 60)
    return min(end + further, latest) if end - session.expires_at >= SECOND else None


@cache
def behind_middleware(request_class: Any) -> Any:
    """A subclass of the request's class, whose `session` is a verified store, whatever is put there, and
    that has `session_ended`."""
    if issubclass(request_class, _SessionVerified):
        return request_class
    return type(
        request_class.__name__, (_SessionVerified, request_class), {"__module__": request_class.__module__}
    )


class _SessionVerified:
    @property
    def session_ended(self) -> SessionEnded | None:
        """Why the login that the browser had has ended; None if there is nothing to tell."""
        request: Any = self
        with at_hand(request):
            store = verified_store(request)
            return store.ended if isinstance(store, VerifiedStore) else None

    @property
    def session(self) -> Any:
        try:
            return as_verified(vars(self)["session"])
        except KeyError:
            raise AttributeError("session") from None

    @session.setter
    def session(self, store: Any) -> None:
        vars(self)["session"] = store

    @session.deleter
    def session(self) -> None:
        vars(self).pop("session", None)

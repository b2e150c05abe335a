import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .models import UserSession
from .store import VerifiedStore, current_store, verified

logger = logging.getLogger("sessions_ext")


class UserSessionMiddleware:
    """Verifies the login of a request against its row, at the first touch of the session's
    data or of `request.user` and not before. Sets `request.user_session`, which is the row,
    or falsy where nobody is logged in; in async code `await request.auser_session()`.

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
        store = attach(request)
        if is_loaded(store):
            store.verify()
        with current(store):
            response = self.get_response(request)
        finish(store)
        return response

    async def __acall__(self, request: HttpRequest) -> Any:
        """See __call__()."""
        store = attach(request)
        if is_loaded(store):
            await sync_to_async(store.verify)()
        with current(store):
            response = await self.get_response(request)
        if store.is_finish_due:
            await sync_to_async(finish)(store)
        return response


def attach(request: HttpRequest) -> VerifiedStore:
    """Turn the request's session into a verified one, and take its user from there."""
    if not hasattr(request, "user") or not isinstance(request.session, SessionBase):
        raise ImproperlyConfigured(
            "UserSessionMiddleware needs SessionMiddleware and AuthenticationMiddleware before it."
        )
    store = verified(request.session, request)
    # A user who is not lazy was set by another kind of login, which is not ours to undo.
    if isinstance(request.user, SimpleLazyObject):
        request.user = SimpleLazyObject(lambda: store.user or AnonymousUser())  # type: ignore[assignment]
        request.auser = partial(auser, store)
    request.user_session = SimpleLazyObject(lambda: store.user_session)  # type: ignore[attr-defined]
    request.auser_session = partial(auser_session, store)  # type: ignore[attr-defined]
    return store


async def auser(store: VerifiedStore) -> Any:
    await store.ahas_key(SESSION_KEY)
    return store.user or AnonymousUser()


async def auser_session(store: VerifiedStore) -> UserSession | None:
    await store.ahas_key(SESSION_KEY)
    return store.user_session


def is_loaded(store: VerifiedStore) -> bool:
    return hasattr(store, "_session_cache")


@contextmanager
def current(store: VerifiedStore) -> Iterator[None]:
    token = current_store.set(store)
    try:
        yield
    finally:
        current_store.reset(token)


def finish(store: VerifiedStore) -> None:
    try:
        store.finish()
    except Error:
        # The view has done its work, and its answer stands.
        logger.warning("could not record the activity of a session", exc_info=True)

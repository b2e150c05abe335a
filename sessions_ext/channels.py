"""Websockets of Django Channels. The scope's session is verified at connect, and a socket is closed when
its session ends. Needs the extra `channels`."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.db import Error
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from . import authentication
from .conf import conf
from .requests import SessionOf, at_hand, resolve_anew
from .signals import session_revoked
from .store import ID_KEY, STAMP_KEY, as_verified, session_of, verified_store

__all__ = ["SESSION_ENDED", "SessionConsumerMixin", "SessionMiddlewareStack", "UserSessionMiddleware"]

SESSION_ENDED = 4001  # the code that a socket is closed with
EVERYBODY = "sessions_ext"
TOLD_ONE_BY_ONE = 100  # users; if more are affected, all sockets are told to check

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

logger = logging.getLogger("sessions_ext")


def SessionMiddlewareStack(inner: Any) -> Any:  # noqa: N802
    """Use it instead of Channels' AuthMiddlewareStack. Adds cookies, the session, and who is logged in
    by it."""
    return CookieMiddleware(SessionMiddleware(UserSessionMiddleware(inner)))


class UserSessionMiddleware:
    """Verifies the scope's session at connect, whatever the SESSION_ENGINE. Sets scope["user"] and
    scope["user_session"], which is the row, or falsy where nobody is logged in. Logins and logouts by
    channels.auth start and end rows. Goes inside Channels' SessionMiddleware."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> Any:
        scope = dict(scope)
        request = ScopeRequest(scope)
        with at_hand(request):
            store = verified_store(request)
            user = await database_sync_to_async(lambda: store.user)()
            scope["user"], scope["user_session"] = user or AnonymousUser(), request.lazy_session
            return await self.inner(scope, receive, send)


class ScopeRequest(HttpRequest):
    """A connection as the rest of the app needs it: its session, and who is calling."""

    may_set_cookie = False

    def __init__(self, scope: Any) -> None:
        super().__init__()
        self.session = as_verified(scope["session"])
        self.META = {f"HTTP_{name}": value for name, value in _headers(scope)}
        self.META["REMOTE_ADDR"] = (scope.get("client") or [""])[0]
        self.lazy_session = SessionOf(self, session_of)

    @property
    def user_session(self) -> Any:
        return self.lazy_session

    @user_session.setter
    def user_session(self, value: Any) -> None:
        # The scope was copied meanwhile, so the object in it resolves again.
        resolve_anew(self.lazy_session)


class SessionConsumerMixin:
    """Closes a consumer's websocket with SESSION_ENDED when its session ends. Put it before the
    consumer's base class. With a channel layer the socket closes at once. A check every SOCKET_RECHECK
    seconds finds sessions that time has ended, and messages that were lost."""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> Any:
        guard = _Guard(scope, receive, send)
        watching = asyncio.ensure_future(guard.watch())
        try:
            return await super().__call__(scope, guard.receive, guard.send)  # type: ignore[misc]
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


class _Guard:
    """Stands between a consumer and its socket, and closes that when the session ends."""

    def __init__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.ended, self.stirred = asyncio.Event(), asyncio.Event()
        self.receiving: asyncio.Future[Message] | None = None

    async def receive(self) -> Message:
        self.stirred.set()
        self.receiving = self.receiving or asyncio.ensure_future(self._receive())
        ending: asyncio.Future[Any] = asyncio.ensure_future(self.ended.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {self.receiving, ending}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.receiving.cancel()
            raise
        finally:
            ending.cancel()
        if self.ended.is_set():
            self.receiving.cancel()
            return {"type": "websocket.disconnect", "code": SESSION_ENDED}
        message, self.receiving = self.receiving.result(), None
        return message

    async def send(self, message: Message) -> None:
        self.stirred.set()
        if not self.ended.is_set():
            await self._send(message)

    async def watch(self) -> None:
        listener = _Listener()
        while not await self._is_loaded():
            await asyncio.sleep(conf.SOCKET_RECHECK.total_seconds())
        while await self._is_active(listener):
            if self._store.login is None:  # nobody's, until a login over the scope
                self.stirred.clear()
                await self.stirred.wait()
            else:
                await listener.listen(conf.SOCKET_RECHECK.total_seconds())
        self.ended.set()
        await self._send({"type": "websocket.close", "code": SESSION_ENDED})

    async def _is_loaded(self) -> bool:
        try:
            await database_sync_to_async(lambda: self._store.user)()  # Channels' own stack verifies nothing
        except Error as error:
            logger.warning("could not verify a websocket's session (%s)", type(error).__name__)
            return False
        return True

    async def _is_active(self, listener: "_Listener") -> bool:
        login = self._store.login
        if login is None:
            return True
        await listener.join(login.session.user_id)
        try:
            is_valid: bool = await database_sync_to_async(_is_valid)(self._store)
        except Error as error:  # nobody can revoke without the database; the next check finds out
            logger.warning("could not verify a websocket's session (%s)", type(error).__name__)
            return True
        return is_valid

    @property
    def _store(self) -> Any:
        return as_verified(self.scope["session"])


class _Listener:
    """Hears through the channel layer that sessions of a user ended. Hears nothing without a layer, or
    if it fails."""

    def __init__(self) -> None:
        self.layer = get_channel_layer()
        self.channel: str | None = None
        self.user_id: Any = None

    async def join(self, user_id: Any) -> None:
        if self.layer is None or user_id == self.user_id:
            return
        try:
            # It shares the consumers' name, because a layer waits for one name at a time.
            self.channel = self.channel or await self.layer.new_channel()
            for group in (_group_of(user_id), EVERYBODY):
                await self.layer.group_add(group, self.channel)
            self.user_id = user_id
        except Exception as error:
            logger.warning("channel layer failed (%s), using the re-check", type(error).__name__)

    async def listen(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        if self.layer is not None and self.channel is not None:
            try:
                await asyncio.wait_for(self.layer.receive(self.channel), seconds)
                return
            except TimeoutError:
                return
            except Exception as error:
                logger.warning("channel layer failed (%s), using the re-check", type(error).__name__)
        await asyncio.sleep(until - asyncio.get_running_loop().time())


def connect() -> None:
    """Tell the open sockets of a session when it is revoked."""
    session_revoked.connect(on_session_revoked, dispatch_uid="sessions_ext.channels")


def on_session_revoked(sender: Any, user_ids: Iterable[Any], **kwargs: Any) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    groups = [_group_of(user_id) for user_id in user_ids]
    async_to_sync(_tell)(layer, groups if len(groups) <= TOLD_ONE_BY_ONE else [EVERYBODY])


async def _tell(layer: Any, groups: list[str]) -> None:
    for group in groups:
        await layer.group_send(group, {"type": "session.ended"})


def _is_valid(store: Any) -> bool:
    session = store.login.session
    login = authentication.verify(
        session.user_id,
        store.get(ID_KEY, session.pk),
        store.get(auth.BACKEND_SESSION_KEY),
        partial(constant_time_compare, store.get(auth.HASH_SESSION_KEY) or ""),
        store.get(STAMP_KEY),
        may_be_cached=False,
    )
    # The session of an outdated login goes on: it has changed its own password.
    return login is not None and (login.user is not None or login.is_outdated)


def _group_of(user_id: Any) -> str:
    # Hashed, because a primary key may be any text.
    return "sessions_ext." + hashlib.sha256(str(user_id).encode()).hexdigest()[:32]


def _headers(scope: Any) -> Iterable[tuple[str, str]]:
    for name, value in scope.get("headers", ()):
        yield name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")

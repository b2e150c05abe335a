"""The request that is being answered (the request at hand), for code that does not get it as an
argument."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import LazyObject

from .models import UserSession


class AtHand(NamedTuple):
    """A request, the time of its arrival, and the stores with a login that were in `request.session`
    since."""

    request: Any
    arrived_at: datetime
    stores: list[Any]


_at_hand: ContextVar[AtHand | None] = ContextVar("sessions_ext_request", default=None)


class at_hand:  # noqa: N801
    """Make this the request at hand, within a `with`. The first one for a request, in any thread, is its
    arrival. A request takes several, and a class takes half of a generator's time."""

    def __init__(self, request: HttpRequest) -> None:
        now: AtHand | None = vars(request).get("_sessions_ext")
        if now is None or now.request is not request:  # that of which this one is a copy
            now = AtHand(request, timezone.now(), [])
            vars(request)["_sessions_ext"] = now
        self.now = now

    def __enter__(self) -> AtHand:
        self.token = _at_hand.set(self.now)
        return self.now

    def __exit__(self, *error: object) -> None:
        _at_hand.reset(self.token)


def request_at_hand() -> Any:
    """The request that is being answered, or None outside of one."""
    now = _at_hand.get()
    return now and now.request


def request_of(store: Any) -> Any:
    """The request at hand, if this store is its session; or else None."""
    request = request_at_hand()
    return request if getattr(request, "session", None) is store else None


def arrival() -> datetime | None:
    """When the request at hand arrived; None outside of one."""
    now = _at_hand.get()
    return now and now.arrived_at


def note_login(store: Any) -> None:
    """Tell the middleware that this store holds a login of the request at hand, if it is one's."""
    now = _at_hand.get()
    store.is_settled = request_of(store) is None
    if now is not None and not store.is_settled and store not in now.stores:
        now.stores.append(store)


class SessionOf(LazyObject):  # type: ignore[type-arg]
    """The row of the login in `request.session`. `resolve(request)` finds it, again if another store is
    put there."""

    def __init__(self, request: Any, resolve: Callable[[Any], UserSession | None]) -> None:
        vars(self).update(_request=request, _resolve=resolve, _store=None, _row=None)

    @property
    def _wrapped(self) -> UserSession | None:
        own = vars(self)
        if own["_store"] is not own["_request"].session:
            own["_row"] = own["_resolve"](own["_request"])
            own["_store"] = own["_request"].session
        row: UserSession | None = own["_row"]
        return row


def resolve_anew(session: SessionOf) -> None:
    """Resolve this again when it is read next."""
    vars(session)["_store"] = None


def carries_token(request: Any) -> bool:
    """Whether a token has set the request's session. It stays that one, whatever the cookie says."""
    return type(getattr(request, "user_session", None)) is UserSession


def has_lost_token(request: Any) -> bool:
    """Whether a token's session was logged out in this request, and nobody has logged in since."""
    return getattr(request, "user_session", False) is None


def make_anonymous(request: Any) -> None:
    """Make the request anonymous, after the logout of a token's session."""
    request.user, request.auser = AnonymousUser(), partial(later, AnonymousUser())
    request.user_session, request.auser_session = None, partial(later, None)


async def later(value: Any) -> Any:
    """The value, for callers that await it."""
    return value

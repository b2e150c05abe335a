"""The request at hand, for code that is not given it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils import timezone

from .models import UserSession


class _AtHand(NamedTuple):
    request: HttpRequest
    arrived_at: datetime


_at_hand: ContextVar[_AtHand | None] = ContextVar("sessions_ext_request", default=None)


@contextmanager
def at_hand(request: HttpRequest) -> Iterator[None]:
    """Let this be the request at hand. It arrived when this was first said of it."""
    now = _at_hand.get()
    if now is not None and now.request is request:
        yield
        return
    token = _at_hand.set(_AtHand(request, timezone.now()))
    try:
        yield
    finally:
        _at_hand.reset(token)


def request_at_hand() -> Any:
    """The request that is being answered, or None outside of one."""
    now = _at_hand.get()
    return now and now.request


def arrival() -> datetime | None:
    """When the request at hand arrived; None outside of one."""
    now = _at_hand.get()
    return now and now.arrived_at


def carries_token(request: Any) -> bool:
    """Whether the request is that of a token's session: then it stays so whatever its cookie says."""
    return type(getattr(request, "user_session", None)) is UserSession

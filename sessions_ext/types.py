"""Types for a project's own annotations."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

if TYPE_CHECKING:
    from .endings import SessionEnded
    from .models import UserSession

__all__ = ["SessionRequest"]


class SessionRequest(HttpRequest):
    """A request behind UserSessionMiddleware. `user_session` is the row of its login, and falsy where
    nobody is logged in; async code awaits `auser_session()`. `session_ended` says why a login has ended."""

    user_session: "UserSession | None"
    session_ended: "SessionEnded | None"
    auser_session: "Callable[[], Coroutine[Any, Any, UserSession | None]]"

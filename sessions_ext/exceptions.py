from collections.abc import Iterable

from django.core.exceptions import PermissionDenied

__all__ = ["SessionLimitReached"]


class SessionLimitReached(PermissionDenied):
    """The user already has as many active sessions as MAX_SESSIONS allows, and
    ON_LIMIT is "deny". Django answers 403 unless the project catches it."""


class SecondFactorRequired(PermissionDenied):
    """The password is right, and the project asks for more: for the code of one of `methods`, such as
    "totp". A LOGIN_HOOK raises it."""

    def __init__(self, methods: Iterable[str] = ()) -> None:
        super().__init__("A second factor is required.")
        self.methods = [*methods]


class TooManyAttempts(Exception):  # noqa: N818
    """The password was wrong too often: nobody may try again for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many attempts.")
        self.seconds = seconds

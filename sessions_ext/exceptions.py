from collections.abc import Iterable

from django.core.exceptions import PermissionDenied
from django.urls import NoReverseMatch, reverse

__all__ = ["SessionLimitReached"]


class SessionLimitReached(PermissionDenied):
    """The user already has as many active sessions as MAX_SESSIONS allows, and ON_LIMIT is "deny". Where
    sessions_ext.urls are included, the middleware sends a browser to `url`, the page where its owner ends one
    of them. Otherwise Django answers 403 unless the project catches it."""

    limit: int | None = None
    token = ""  # of a login by django.contrib.auth.login(), see sessions_ext.make_room

    @property
    def url(self) -> str:
        """Where whoever has given the right password ends a session, within ten minutes; or ""."""
        try:
            return reverse("sessions_ext:make_room", args=[self.token]) if self.token else ""
        except NoReverseMatch:
            return ""


class SecondFactorRequired(PermissionDenied):
    """The password is right, and the project asks for more: for the code of one of `methods`, such as
    "totp". A LOGIN_HOOK raises it."""

    def __init__(self, methods: str | Iterable[str] = ()) -> None:
        super().__init__("A second factor is required.")
        self.methods = [*map(str, [methods] if isinstance(methods, str) else methods)]


class TooManyAttempts(Exception):  # noqa: N818
    """The password was wrong too often: nobody may try again for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many attempts.")
        self.seconds = seconds

"""What an answer does to the browser's cookie: it gives a new session key, or leaves the cookie alone."""

from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from .requests import request_of


class RenewsKey(SessionBase):
    """A base class before an engine's SessionStore. If a login gets a new key in a request, the old one
    opens the session as well until the answer is known, because Django sets no cookie with an error of
    the server."""

    old_key: str | None = None
    _is_renewing = False
    _login: Any

    def cycle_key(self) -> None:
        self._is_renewing = self._login is not None and request_of(self) is not None
        try:
            super().cycle_key()
        finally:
            self._is_renewing = False

    def end_renewal(self, is_done: bool) -> None:
        """Delete the old key; or the new one, if the browser does not get it."""
        deleted, self.old_key = self.old_key, None
        if not is_done:
            deleted, self._session_key = self.session_key, deleted
        super().delete(deleted)

    def delete(self, session_key: str | None = None) -> None:
        if self._is_renewing and self.old_key is None:
            self.old_key = session_key
        else:
            super().delete(session_key)


class LeavesCookie(SessionBase):
    """A base class for a store whose answer may come too late to say anything about the cookie."""

    _is_late = False  # the login has ended, or the key was replaced, while the request was under way
    _is_unknown = False  # the cookie names a session that there is not
    _is_accessed = False

    @property
    def keeps_cookie(self) -> bool:
        """Whether the answer leaves the browser's cookie alone, because the browser may have a newer
        one: the login ended during this request, or its session key was replaced."""
        return self._is_late or (self._is_unknown and self.is_empty())

    # Without this attribute SessionMiddleware neither sets nor deletes a cookie.
    @property
    def accessed(self) -> bool:
        if self.keeps_cookie:
            raise AttributeError("accessed")
        return self._is_accessed

    @accessed.setter
    def accessed(self, is_accessed: bool) -> None:
        self._is_accessed = is_accessed

"""Who may call an operation, and how often."""

import logging
import threading
from datetime import timedelta
from typing import Any

import ninja.conf
from django.conf import settings
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.throttling import SimpleRateThrottle

from .. import clients, step_up, throttle, tokens
from ..conf import duration

logger = logging.getLogger("sessions_ext")


class BearerAuth(HttpBearer):
    """An access token in the Authorization header (RFC 6750). Sets `request.user` and
    `request.user_session`. One query; one more to record activity, once per TOUCH_INTERVAL. With `max_age`,
    the session has to be as fresh as that, or the answer is 401 with the challenge of RFC 9470."""

    openapi_bearerFormat = "JWT"  # noqa: N815

    def __init__(self, max_age: timedelta | float | None = None) -> None:
        super().__init__()
        self.max_age = None if max_age is None else duration(max_age)

    @sensitive_variables()
    def __call__(self, request: HttpRequest) -> Any:
        token = tokens.bearer_token(request)
        return None if token is None else self.authenticate(request, token)

    @sensitive_variables()
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        session = tokens.authenticate(request, token)
        return _if_fresh(request, self.max_age) if session else None


class CookieAuth(APIKeyCookie):
    """The session cookie, with Django's CSRF token for unsafe methods. It refuses a request with a
    bearer token: a wrong token never falls back to the cookie. It also refuses one whose user another
    middleware has set: the row would be somebody else's. For `max_age` see BearerAuth."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, max_age: timedelta | float | None = None) -> None:
        super().__init__()
        self.max_age = None if max_age is None else duration(max_age)

    def __call__(self, request: HttpRequest) -> Any:
        session = getattr(request, "user_session", None)
        if tokens.bearer_token(request) is not None or not session or session.user_id != request.user.pk:
            return None
        return self.authenticate(request, self._get_key(request))

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        return _if_fresh(request, self.max_age)


def _if_fresh(request: HttpRequest, max_age: timedelta | None) -> Any:
    if max_age is None or step_up.is_fresh(request, max_age):
        return request.user
    step_up.note_challenge(request, max_age)
    # Not None: another class beside this one would be asked, and the answer be that nobody is known.
    raise HttpError(401, str(step_up.DETAIL))


session_auth = [BearerAuth(), CookieAuth()]


class RateThrottle(threading.local, SimpleRateThrottle):
    """Limits calls by the client's address, at the rate that NINJA_DEFAULT_THROTTLE_RATES gives
    for the scope; without one it lets everything pass. A window begins with an address's first call, and
    counts atomically. State is per thread, because ninja keeps a call's state on the throttle, which
    all calls share.

    A caller without an address passes: nobody can be told from another there, and one bucket for all
    would let each lock the others out. So does everybody while the cache is down. Both are logged."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.seconds_left = 0.0

    def allow_request(self, request: HttpRequest) -> bool:
        request._sessions_ext_throttle = self  # type: ignore[attr-defined]
        rate = ninja.conf.settings.DEFAULT_THROTTLE_RATES.get(self.scope or "")
        if rate is None:
            return True
        limit, duration = self.parse_rate(rate)
        key = self.get_cache_key(request)
        if key is None:
            logger.warning("%s is not throttled: the caller's address is unknown", self.scope)
            return True
        what = self.scope or ""
        self.seconds_left = throttle.wait(
            key, int(limit or 0), float(duration or 0), what=what, cache=self.cache
        )
        return not self.seconds_left

    def wait(self) -> float | None:
        return self.seconds_left

    def get_cache_key(self, request: HttpRequest) -> str | None:
        address = clients.client_ip(request)
        if address is None:
            return None
        # Whoever has one IPv6 address has a whole /64.
        ident = clients.network(address) if ":" in address else address
        return self.cache_format % {"scope": self.scope, "ident": ident}

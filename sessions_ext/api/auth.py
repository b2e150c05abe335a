"""Who may call an operation, and how often."""

import threading
from typing import Any

import ninja.conf
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from ninja.security import APIKeyCookie, HttpBearer
from ninja.throttling import SimpleRateThrottle

from .. import activity, clients, tokens


class BearerAuth(HttpBearer):
    """An access token in the Authorization header (RFC 6750). Sets `request.user` and
    `request.user_session`. One query; one more to record activity, once per TOUCH_INTERVAL."""

    openapi_bearerFormat = "JWT"  # noqa: N815

    @sensitive_variables()
    def __call__(self, request: HttpRequest) -> Any:
        token = tokens.bearer_token(request)
        return None if token is None else self.authenticate(request, token)

    @sensitive_variables()
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        session = tokens.verify(token)
        if session is None:
            return None
        tokens.carry(request, session)
        if activity.is_due(session):
            # After the transaction of a request, so that the row is not locked meanwhile.

            def touch() -> None:
                activity.record(session, request)

            transaction.on_commit(touch, using=session._state.db, robust=True)
        return session.user


class CookieAuth(APIKeyCookie):
    """The session cookie, with Django's CSRF token for what is not safe. A request with a
    bearer token is not for this class: one that fails does not fall back to the cookie. Nor is
    one whose user another middleware has set: the row would be somebody else's."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any:
        session = getattr(request, "user_session", None)
        if tokens.bearer_token(request) is not None or not session or session.user_id != request.user.pk:
            return None
        return self.authenticate(request, self._get_key(request))

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        return request.user


session_auth = [BearerAuth(), CookieAuth()]


class RateThrottle(threading.local, SimpleRateThrottle):
    """Limits calls by the client's address, at the rate that NINJA_DEFAULT_THROTTLE_RATES gives
    for the scope; without one it lets everything pass. State is per thread, because ninja keeps
    that of a call on the throttle, which all calls share."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def allow_request(self, request: HttpRequest) -> bool:
        rate = ninja.conf.settings.DEFAULT_THROTTLE_RATES.get(self.scope or "")
        self.num_requests, self.duration = self.parse_rate(rate)
        return rate is None or super().allow_request(request)

    def wait(self) -> float | None:
        # None where more calls are on record than a rate that was lowered allows.
        return super().wait() or self.duration

    def get_cache_key(self, request: HttpRequest) -> str:
        address = clients.client_ip(request)
        # Whoever has one address of IPv6 has a /64 of them.
        ident = clients.network(address) if address and ":" in address else address
        return self.cache_format % {"scope": self.scope, "ident": ident}

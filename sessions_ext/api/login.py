"""Log in and refresh."""

from typing import Any

from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest

from .. import tokens
from ..exceptions import SessionLimitReached
from .auth import RateThrottle
from .problems import Problem, described
from .routers import new_router
from .schemas import SessionsExtCredentials, SessionsExtRefreshToken, SessionsExtTokens

login_router = new_router("sessions")


@login_router.post(
    "/sessions",
    auth=None,
    throttle=[RateThrottle("sessions_login")],
    response={201: SessionsExtTokens},
    operation_id="login",
    summary="Log in",
    openapi_extra=described(
        "malformed_request",
        "invalid_credentials",
        "session_limit_reached",
        "login_denied",
        "body_too_large",
        "invalid_request",
        "throttled",
    ),
)
def login(request: HttpRequest, credentials: SessionsExtCredentials) -> Any:
    """Starts a session and answers with its first tokens."""
    user = auth.authenticate(
        request,
        username=_username(credentials.username),
        password=credentials.password.get_secret_value(),
    )
    if user is None:
        raise Problem("invalid_credentials")
    try:
        return tokens.login(request, user)
    except SessionLimitReached:
        raise Problem("session_limit_reached") from None
    except PermissionDenied:
        raise Problem("login_denied") from None


@login_router.post(
    "/sessions/refresh",
    auth=None,
    throttle=[RateThrottle("sessions_refresh")],
    response={200: SessionsExtTokens},
    operation_id="refresh",
    summary="Refresh the tokens",
    openapi_extra=described(
        "malformed_request", "invalid_refresh_token", "body_too_large", "invalid_request", "throttled"
    ),
)
def refresh(request: HttpRequest, body: SessionsExtRefreshToken) -> Any:
    """Exchanges the refresh token for new tokens. It is valid once: using it again ends the session."""
    pair = tokens.refresh(body.refresh_token.get_secret_value(), request)
    if pair is None:
        raise Problem("invalid_refresh_token")
    tokens.carry(request, pair.session)
    return pair


def _username(identifier: str) -> str:
    """The user name of the one active account with this e-mail address, or what was given if there is
    not exactly one. A user name of that spelling comes first."""
    users = auth.get_user_model()
    name, email = users.USERNAME_FIELD, users.get_email_field_name()
    fields = {field.name for field in users._meta.get_fields()}
    identifier = users.normalize_username(identifier)
    if "@" in identifier and name != email and email in fields:
        addressed = Q(**{f"{email}__iexact": identifier})
        if "is_active" in fields:
            addressed &= Q(is_active=True)
        known = users._default_manager.filter(Q(**{name: identifier}) | addressed)
        names = list(known.values_list(name, flat=True)[:2])
        if len(names) == 1:
            return str(names[0])
    return identifier

"""Log in and refresh."""

from contextlib import suppress
from typing import Any

from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from .. import make_room, tokens
from ..conf import LOGIN_URL_NAME, conf
from ..exceptions import SecondFactorRequired, SessionLimitReached
from ..passwords import ask_backends, report_failure
from .auth import RateThrottle
from .problems import Problem, described, member_of
from .routers import new_router
from .schemas import SessionsExtCredentials, SessionsExtPlace, SessionsExtRefreshToken, SessionsExtTokens

PLACES_TOLD = 100

login_router = new_router("sessions")


@login_router.post(
    "/sessions",
    auth=None,
    throttle=[RateThrottle("sessions_login")],
    response={201: SessionsExtTokens},
    operation_id="login",
    url_name=LOGIN_URL_NAME,
    summary="Log in",
    openapi_extra=described(
        "malformed_request",
        "invalid_credentials",
        "second_factor_required",
        "session_limit_reached",
        "login_denied",
        "body_too_large",
        "invalid_request",
        "throttled",
    ),
)
@sensitive_variables("code")
def login(request: HttpRequest, credentials: SessionsExtCredentials) -> Any:
    """Starts a session and answers with its first tokens. Where it asks for a second factor, send the same
    again with its `code`. Where it says that there are too many sessions, and which, send the same again and
    name the one that `ends`."""
    user = _authenticate(request, credentials.username, credentials.password.get_secret_value())
    if user is None:
        raise Problem("invalid_credentials")
    code = credentials.code.get_secret_value()
    try:
        if conf.LOGIN_HOOK and import_string(conf.LOGIN_HOOK)(request, user, code) is not None:
            # It may have meant to refuse, by False or a response; or it is async, and has not run.
            raise TypeError("A LOGIN_HOOK lets a user in by returning None, and refuses by an exception.")
        if credentials.ends:
            make_room.end(make_room.Holder(user), str(credentials.ends), request)
        return tokens.login(request, user)
    except SecondFactorRequired as error:
        if code:
            # So that lockout apps count a wrong code as they do a wrong password.
            report_failure(request, user.get_username())
        raise Problem("second_factor_required", methods=error.methods) from None
    except SessionLimitReached:
        told = [SessionsExtPlace.from_orm(each) for each in make_room.sessions_in_the_way(user)[:PLACES_TOLD]]
        sessions = [place.model_dump(mode="json") for place in told]
        raise Problem("session_limit_reached", sessions=sessions) from None
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
@sensitive_variables("token")
def refresh(request: HttpRequest, body: SessionsExtRefreshToken) -> Any:
    """Exchanges the refresh token for new tokens. It is valid once: using it again ends the session."""
    token = body.refresh_token.get_secret_value()
    pair = tokens.refresh(token, request)
    if pair is None:
        raise Problem("invalid_refresh_token", **member_of(tokens.why_ended(token, tokens.REFRESH)))
    tokens.set_login(request, pair.session)
    return pair


@sensitive_variables()
def _authenticate(request: HttpRequest, identifier: str, password: str) -> Any:
    """The user whom the project's backends know by a user name or an e-mail address, or None."""
    identifier = auth.get_user_model().normalize_username(identifier)
    name = _name_of(identifier)
    if name is None:
        return auth.authenticate(request, username=identifier, password=password)
    names = [{"username": name}, {"username": identifier}]
    with suppress(PermissionDenied):
        if user := ask_backends(request, names, password):
            return user
    report_failure(request, name)
    return None


def _name_of(identifier: str) -> str | None:
    """The user name of the one active account with this e-mail address. None for what is a user name, and
    for an address of no account or of several. One query by the user name, and then one by the address."""
    users = auth.get_user_model()
    name, email = users.USERNAME_FIELD, users.get_email_field_name()
    fields = {field.name for field in users._meta.get_fields()}
    known = users._default_manager
    if "@" not in identifier or name == email or email not in fields:
        return None
    if known.filter(**{name: identifier}).exists():
        return None
    active = {"is_active": True} if "is_active" in fields else {}
    addressed = known.filter(**{f"{email}__iexact": identifier}, **active)
    names = list(addressed.values_list(name, flat=True)[:2])
    return str(names[0]) if len(names) == 1 else None

"""The API: log in, refresh, see and end sessions. A project mounts the routers on a NinjaAPI of
its own, and protects its own operations, sync or async, with `auth=session_auth`."""

import threading
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import ninja.conf
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.urls import register_converter
from django.urls.converters import StringConverter
from django.views.decorators.debug import sensitive_variables
from ninja import Field, Router, Schema
from ninja.pagination import LimitOffsetPagination, paginate
from ninja.security import APIKeyCookie, HttpBearer
from ninja.throttling import SimpleRateThrottle
from pydantic import ConfigDict, SecretStr, StrictBool, field_validator

from . import clients, tokens
from .exceptions import SessionLimitReached
from .managers import UserSessionQuerySet
from .models import RevokedReason, UserSession
from .problems import Problem, answer_problems, described, finish_answers

State = Literal["active", "revoked", "expired", "all"]


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
        if session.is_touch_due:
            # After the transaction of a request, so that the row is not locked meanwhile.

            def touch() -> None:
                session.touch(request)

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


class Credentials(Schema):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"username": "ada", "password": "correct horse"}]}
    )
    username: str = Field(
        min_length=1, max_length=254, pattern="^[^\\x00]*$", description="A user name or an e-mail address."
    )
    password: SecretStr = Field(min_length=1, max_length=4096)

    @field_validator("password")
    @classmethod
    def is_text(cls, password: SecretStr) -> SecretStr:
        try:
            password.get_secret_value().encode()
        except UnicodeEncodeError:
            raise ValueError("half a surrogate pair is no character") from None
        return password


class RefreshToken(Schema):
    model_config = ConfigDict(extra="forbid")
    refresh_token: SecretStr = Field(max_length=8192, examples=["eyJhbGciOi…"])


class Trust(Schema):
    model_config = ConfigDict(extra="forbid")
    is_trusted: StrictBool


class Session(Schema):
    """A login. Its id is public and opens nothing."""

    id: UUID
    state: Literal["active", "expired", "revoked"]
    is_current: bool = Field(description="Whether this is the session that asks.")
    is_trusted: bool
    device_info: str = Field(examples=["Chrome on macOS"])
    user_agent: str = Field(examples=["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) …"])
    ip_address: str | None = Field(description="At sign-in.", examples=["203.0.113.7"])
    last_ip_address: str | None = Field(examples=["203.0.113.7"])
    location: str = Field(examples=["New York, US"])
    created_at: datetime
    last_activity_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str = Field(examples=["", "logout", "stolen laptop"])
    ended_by: str | None = Field(description="user, admin, policy or system.", examples=["user"])

    @staticmethod
    def resolve_state(session: UserSession) -> str:
        return "revoked" if session.is_revoked else "active" if session.is_active else "expired"

    @staticmethod
    def resolve_is_current(session: UserSession, context: Any) -> bool:
        return bool(session.pk == context["request"].user_session.pk)


class Tokens(Schema):
    access_token: str = Field(examples=["eyJhbGciOi…"])
    refresh_token: str = Field(examples=["eyJhbGciOi…"], description="Good for one refresh.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[900])
    session: Session


class Ended(Schema):
    revoked: int = Field(description="How many sessions this call ended.", examples=[2])


class Page(LimitOffsetPagination):
    class Input(Schema):
        limit: int = Field(20, ge=1, le=100)
        offset: int = Field(0, ge=0, le=100_000)


class AnyConverter(StringConverter):
    """A primary key in a path: a text may hold a slash, and anything else."""

    regex = "(?s:.+)"


register_converter(AnyConverter, "sessions_ext_any")
router = Router(tags=["sessions"], auth=session_auth)
staff_router = Router(tags=["sessions of users"], auth=session_auth)
for each in (router, staff_router):
    each.add_decorator(answer_problems, mode="operation")
    each.add_decorator(finish_answers, mode="view")


@router.post(
    "/sessions",
    auth=None,
    throttle=[RateThrottle("sessions_login")],
    response={201: Tokens},
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
def login(request: HttpRequest, credentials: Credentials) -> Any:
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


@router.post(
    "/sessions/refresh",
    auth=None,
    throttle=[RateThrottle("sessions_refresh")],
    response={200: Tokens},
    operation_id="refresh",
    summary="Refresh the tokens",
    openapi_extra=described(
        "malformed_request", "invalid_refresh_token", "body_too_large", "invalid_request", "throttled"
    ),
)
def refresh(request: HttpRequest, body: RefreshToken) -> Any:
    """Answers with the next tokens. A refresh token is good once; used again, it ends the session."""
    pair = tokens.refresh(body.refresh_token.get_secret_value(), request)
    if pair is None:
        raise Problem("invalid_refresh_token")
    tokens.carry(request, pair.session)
    return pair


@router.get(
    "/sessions",
    response=list[Session],
    operation_id="list_sessions",
    summary="Your sessions, newest first",
    openapi_extra=described("not_authenticated", "invalid_request"),
)
@paginate(Page)
def list_sessions(request: Any, state: State = "active") -> Any:
    return _in_state(_sessions_of(request.user), state)


@router.delete(
    "/sessions",
    response={200: Ended},
    operation_id="revoke_other_sessions",
    summary="Sign out everywhere else",
    openapi_extra=described("not_authenticated", "csrf_failed"),
)
def revoke_other_sessions(request: Any) -> Any:
    others = _sessions_of(request.user).active().exclude(pk=request.user_session.pk)
    return {"revoked": others.revoke(RevokedReason.USER)}


@router.get(
    "/sessions/current",
    response=Session,
    operation_id="get_current_session",
    summary="The session that asks",
    openapi_extra=described("not_authenticated"),
)
def get_current_session(request: Any) -> Any:
    return request.user_session


@router.delete(
    "/sessions/current",
    response={204: None},
    operation_id="logout",
    summary="Sign out here",
    openapi_extra=described("not_authenticated", "csrf_failed"),
)
def logout(request: Any) -> Any:
    if tokens.bearer_token(request) is None:
        auth.logout(request)
    else:
        user_logged_out.send(sender=type(request.user), request=request, user=request.user)
        _sessions_of(request.user).filter(pk=request.user_session.pk).revoke(RevokedReason.LOGOUT)


@router.get(
    "/sessions/{session_id}",
    response=Session,
    operation_id="get_session",
    summary="One of your sessions",
    openapi_extra=described("not_authenticated", "not_found", "invalid_request"),
)
def get_session(request: Any, session_id: UUID) -> Any:
    return _one(_sessions_of(request.user), session_id)


@router.patch(
    "/sessions/{session_id}",
    response=Session,
    operation_id="trust_session",
    summary="Trust a device, or not any more",
    openapi_extra=described(
        "malformed_request",
        "not_authenticated",
        "csrf_failed",
        "not_found",
        "body_too_large",
        "invalid_request",
    ),
)
def trust_session(request: Any, session_id: UUID, body: Trust) -> Any:
    """For an active session: trust ends with it."""
    active = _sessions_of(request.user).active()
    active.filter(pk=session_id).trust(body.is_trusted)
    return _one(active, session_id)


@router.delete(
    "/sessions/{session_id}",
    response={204: None},
    operation_id="revoke_session",
    summary="Sign out one of your sessions",
    openapi_extra=described("not_authenticated", "csrf_failed", "not_found", "invalid_request"),
)
def revoke_session(request: Any, session_id: UUID) -> Any:
    """One that has ended already stays as it is."""
    if session_id == request.user_session.pk:
        logout(request)
    else:
        _revoke_one(_sessions_of(request.user), session_id, RevokedReason.USER)


@staff_router.get(
    "/users/{sessions_ext_any:user_id}/sessions",
    response=list[Session],
    operation_id="list_user_sessions",
    summary="A user's sessions, newest first",
    openapi_extra=described("not_authenticated", "permission_denied", "not_found", "invalid_request"),
)
@paginate(Page)
def list_user_sessions(request: Any, user_id: str, state: State = "active") -> Any:
    """Needs the permission `sessions_ext.view_usersession`."""
    return _in_state(_sessions_for_staff(request, user_id, "view"), state)


@staff_router.delete(
    "/users/{sessions_ext_any:user_id}/sessions",
    response={200: Ended},
    operation_id="revoke_user_sessions",
    summary="Sign a user out everywhere",
    openapi_extra=described("not_authenticated", "csrf_failed", "permission_denied", "not_found"),
)
def revoke_user_sessions(request: Any, user_id: str) -> Any:
    """Needs the permission `sessions_ext.revoke_usersession`."""
    sessions = _sessions_for_staff(request, user_id, "revoke")
    return {"revoked": sessions.active().revoke(RevokedReason.ADMIN)}


@staff_router.delete(
    "/users/{sessions_ext_any:user_id}/sessions/{session_id}",
    response={204: None},
    operation_id="revoke_user_session",
    summary="Sign out one of a user's sessions",
    openapi_extra=described(
        "not_authenticated", "csrf_failed", "permission_denied", "not_found", "invalid_request"
    ),
)
def revoke_user_session(request: Any, user_id: str, session_id: UUID) -> Any:
    """Needs the permission `sessions_ext.revoke_usersession`."""
    _revoke_one(_sessions_for_staff(request, user_id, "revoke"), session_id, RevokedReason.ADMIN)


def _username(identifier: str) -> str:
    """The user name of the one active account with this e-mail address, or what was given: a
    user name of that spelling comes first."""
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


def _sessions_of(user: Any) -> UserSessionQuerySet:
    sessions: UserSessionQuerySet = UserSession.objects.for_user(user).newest_first()
    return sessions


def _sessions_for_staff(request: Any, user_id: str, action: str) -> UserSessionQuerySet:
    if not request.user.has_perm(f"sessions_ext.{action}_usersession"):
        raise Problem("permission_denied")
    users = auth.get_user_model()
    try:
        return _sessions_of(users._default_manager.get(pk=user_id))
    except (users.DoesNotExist, ValidationError, ValueError, OverflowError, DataError):
        raise Problem("not_found") from None


def _in_state(sessions: UserSessionQuerySet, state: State) -> UserSessionQuerySet:
    filtered: UserSessionQuerySet = sessions if state == "all" else getattr(sessions, state)()
    return filtered


def _one(sessions: UserSessionQuerySet, session_id: UUID) -> UserSession:
    session = sessions.filter(pk=session_id).first()
    if session is None:
        raise Problem("not_found")
    return session


def _revoke_one(sessions: UserSessionQuerySet, session_id: UUID, reason: str) -> None:
    if not sessions.active().filter(pk=session_id).revoke(reason):
        _one(sessions, session_id)

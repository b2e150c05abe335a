"""Log in, refresh, see and end your own sessions."""

from typing import Any
from uuid import UUID

from django.contrib import auth
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest
from ninja import Router
from ninja.pagination import paginate

from .. import tokens
from ..exceptions import SessionLimitReached
from ..models import RevokedReason, UserSession
from ..querysets import UserSessionQuerySet
from .auth import RateThrottle, session_auth
from .problems import Problem, answer_problems, described, finish_answers
from .schemas import Credentials, Ended, Page, RefreshToken, Session, State, Tokens, Trust


def new_router(tag: str) -> Router:
    """A router whose errors are problem details, and whose answers no cache keeps."""
    made = Router(tags=[tag], auth=session_auth)
    made.add_decorator(answer_problems, mode="operation")
    made.add_decorator(finish_answers, mode="view")
    return made


router = new_router("sessions")


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
    return in_state(sessions_of(request.user), state)


@router.delete(
    "/sessions",
    response={200: Ended},
    operation_id="revoke_other_sessions",
    summary="Sign out everywhere else",
    openapi_extra=described("not_authenticated", "csrf_failed"),
)
def revoke_other_sessions(request: Any) -> Any:
    others = sessions_of(request.user).active().exclude(pk=request.user_session.pk)
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
        request.user_session.revoke(RevokedReason.LOGOUT)


@router.get(
    "/sessions/{session_id}",
    response=Session,
    operation_id="get_session",
    summary="One of your sessions",
    openapi_extra=described("not_authenticated", "not_found", "invalid_request"),
)
def get_session(request: Any, session_id: UUID) -> Any:
    return _one(sessions_of(request.user), session_id)


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
    session = _one(sessions_of(request.user).active(), session_id)
    is_active = session.trust() if body.is_trusted else session.untrust()
    if not is_active:
        raise Problem("not_found")
    return session


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
        revoke_one(sessions_of(request.user), session_id, RevokedReason.USER)


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


def sessions_of(user: Any) -> UserSessionQuerySet:
    sessions: UserSessionQuerySet = UserSession.objects.for_user(user).newest_first()
    return sessions


def in_state(sessions: UserSessionQuerySet, state: State) -> UserSessionQuerySet:
    filtered: UserSessionQuerySet = sessions if state == "all" else getattr(sessions, state)()
    return filtered


def _one(sessions: UserSessionQuerySet, session_id: UUID) -> UserSession:
    session = sessions.filter(pk=session_id).first()
    if session is None:
        raise Problem("not_found")
    return session


def revoke_one(sessions: UserSessionQuerySet, session_id: UUID, reason: str) -> None:
    if not sessions.active().filter(pk=session_id).revoke(reason):
        _one(sessions, session_id)

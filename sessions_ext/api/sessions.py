"""See and end your own sessions."""

from math import ceil
from typing import Any
from uuid import UUID

from django.contrib import auth
from django.contrib.auth.signals import user_logged_out
from ninja import Status
from ninja.pagination import paginate

from .. import step_up, tokens
from ..conf import conf
from ..exceptions import TooManyAttempts
from ..models import RevokedReason, UserSession
from ..querysets import UserSessionQuerySet
from .auth import RateThrottle
from .problems import Problem, described
from .routers import new_router
from .schemas import (
    Page,
    SessionsExtEnded,
    SessionsExtPassword,
    SessionsExtSession,
    SessionsExtTokens,
    SessionsExtTrust,
    State,
)

router = new_router("sessions")


@router.get(
    "/sessions",
    response=list[SessionsExtSession],
    operation_id="list_sessions",
    summary="Your sessions, newest first",
    openapi_extra=described("not_authenticated", "invalid_request"),
)
@paginate(Page)
def list_sessions(request: Any, state: State = "active") -> Any:
    return in_state(sessions_of(request.user), state)


@router.delete(
    "/sessions",
    response={200: SessionsExtEnded},
    operation_id="revoke_other_sessions",
    summary="Sign out everywhere else",
    openapi_extra=described(
        "not_authenticated", "insufficient_user_authentication", "csrf_failed", "permission_denied"
    ),
)
def revoke_other_sessions(request: Any) -> Any:
    """Asks for a confirmation where the password was given a while ago."""
    _ask_for_confirmation(request)
    others = sessions_of(request.user).active().exclude(pk=request.user_session.pk)
    return {"revoked": others.revoke(RevokedReason.USER)}


@router.get(
    "/sessions/current",
    response=SessionsExtSession,
    operation_id="get_current_session",
    summary="The current session",
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
        # As auth.logout() does, which needs `request.session`. Our receiver ends the session.
        user_logged_out.send(sender=type(request.user), request=request, user=request.user)


@router.post(
    "/sessions/current/confirm",
    throttle=[RateThrottle("sessions_confirm")],
    response={200: SessionsExtTokens, 204: None},
    operation_id="confirm",
    summary="Confirm who you are",
    openapi_extra=described(
        "malformed_request",
        "not_authenticated",
        "wrong_password",
        "csrf_failed",
        "permission_denied",
        "body_too_large",
        "invalid_request",
        "throttled",
    ),
)
def confirm(request: Any, body: SessionsExtPassword) -> Any:
    """Makes the session fresh again. With an access token the answer has new tokens, and only they are fresh;
    with the cookie it is 204 and a new cookie."""
    if step_up.is_acting(request):
        raise Problem("permission_denied")
    try:
        is_right = step_up.is_password(request, body.password.get_secret_value())
    except TooManyAttempts as error:
        raise Problem("throttled", headers={"Retry-After": str(ceil(error.seconds))}) from None
    if not is_right:
        raise Problem("wrong_password")
    if tokens.bearer_token(request) is None:
        done: Any = Status(204, None) if step_up.reauthenticated(request) else None
    else:
        done = tokens.confirm(request)
    if not done:  # it ended meanwhile
        raise Problem("not_authenticated")
    return done


@router.get(
    "/sessions/{session_id}",
    response=SessionsExtSession,
    operation_id="get_session",
    summary="One of your sessions",
    openapi_extra=described("not_authenticated", "not_found", "invalid_request"),
)
def get_session(request: Any, session_id: UUID) -> Any:
    return _one(sessions_of(request.user), session_id)


@router.patch(
    "/sessions/{session_id}",
    response=SessionsExtSession,
    operation_id="trust_session",
    summary="Trust a device, or stop trusting it",
    openapi_extra=described(
        "malformed_request",
        "not_authenticated",
        "csrf_failed",
        "not_found",
        "body_too_large",
        "invalid_request",
    ),
)
def trust_session(request: Any, session_id: UUID, body: SessionsExtTrust) -> Any:
    """The session must be active, since trust ends with it, and one in which nobody acts as you."""
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
    openapi_extra=described(
        "not_authenticated",
        "insufficient_user_authentication",
        "csrf_failed",
        "permission_denied",
        "not_found",
        "invalid_request",
    ),
)
def revoke_session(request: Any, session_id: UUID) -> Any:
    """A session that has already ended stays as it is. To sign out another one asks for a confirmation where
    the password was given a while ago."""
    if session_id == request.user_session.pk:
        logout(request)
    else:
        _ask_for_confirmation(request)
        revoke_one(sessions_of(request.user), session_id, RevokedReason.USER)


def _ask_for_confirmation(request: Any) -> None:
    if step_up.is_acting(request):
        raise Problem("permission_denied")
    if conf.API_REAUTHENTICATES and step_up.may_be_asked(request) and not step_up.is_fresh(request):
        raise Problem("insufficient_user_authentication", max_age=step_up.max_age())


def sessions_of(user: Any) -> UserSessionQuerySet:
    # Not of a replica: whoever changes something and looks sees it changed.
    sessions: UserSessionQuerySet = UserSession.objects.primary.for_user(user).newest_first()
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

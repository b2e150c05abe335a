"""A user's sessions, for those who have the permission to see or end them."""

from typing import Any
from uuid import UUID

from django.contrib import auth
from django.core.exceptions import ValidationError
from django.db import DataError, router
from django.db.models import CharField, TextField
from django.urls import register_converter
from django.urls.converters import StringConverter
from ninja.pagination import paginate

from ..models import RevokedReason
from ..querysets import UserSessionQuerySet
from ..reasons import with_note
from ..receivers import key_of
from .problems import Problem, described
from .routers import new_router
from .schemas import Page, SessionsExtEnded, SessionsExtSession, State
from .sessions import in_state, revoke_one, sessions_of


class AnyConverter(StringConverter):
    """A primary key that is a text. It may hold anything, even a slash."""

    regex = "(?s:.+)"


def user_id_in_path() -> str:
    """The part of a path that holds a user's primary key. A text may hold slashes, so its part matches
    every path between /users/ and /sessions, even the project's own: it is used only where keys are
    texts."""
    is_text = isinstance(key_of(auth.get_user_model()), CharField | TextField)
    return "{sessions_ext_any:user_id}" if is_text else "{user_id}"


register_converter(AnyConverter, "sessions_ext_any")
USER_ID = user_id_in_path()
staff_router = new_router("sessions of users")


@staff_router.get(
    f"/users/{USER_ID}/sessions",
    response=list[SessionsExtSession],
    operation_id="list_user_sessions",
    summary="A user's sessions, newest first",
    openapi_extra=described("not_authenticated", "permission_denied", "not_found", "invalid_request"),
)
@paginate(Page)
def list_user_sessions(request: Any, user_id: str, state: State = "active") -> Any:
    """Needs the permission `sessions_ext.view_usersession`."""
    return in_state(_sessions_for_staff(request, user_id, "view"), state)


@staff_router.delete(
    f"/users/{USER_ID}/sessions",
    response={200: SessionsExtEnded},
    operation_id="revoke_user_sessions",
    summary="Sign a user out everywhere",
    openapi_extra=described("not_authenticated", "csrf_failed", "permission_denied", "not_found"),
)
def revoke_user_sessions(request: Any, user_id: str) -> Any:
    """Needs the permission `sessions_ext.revoke_usersession`."""
    sessions = _sessions_for_staff(request, user_id, "revoke")
    return {"revoked": sessions.active().revoke(_by(request.user))}


@staff_router.delete(
    f"/users/{USER_ID}/sessions/{{session_id}}",
    response={204: None},
    operation_id="revoke_user_session",
    summary="Sign out one of a user's sessions",
    openapi_extra=described(
        "not_authenticated", "csrf_failed", "permission_denied", "not_found", "invalid_request"
    ),
)
def revoke_user_session(request: Any, user_id: str, session_id: UUID) -> Any:
    """Needs the permission `sessions_ext.revoke_usersession`."""
    revoke_one(_sessions_for_staff(request, user_id, "revoke"), session_id, _by(request.user))


def _by(administrator: Any) -> str:
    """The reason, with who it was: the row is then the record, also where the admin's log is not installed.
    By the key, since the owner of the session may read it and is to learn no name."""
    return with_note(RevokedReason.ADMIN, f"by {administrator.pk}")


def _sessions_for_staff(request: Any, user_id: str, action: str) -> UserSessionQuerySet:
    if not request.user.has_perm(f"sessions_ext.{action}_usersession"):
        raise Problem("permission_denied")
    users = auth.get_user_model()
    try:
        known = users._default_manager.using(router.db_for_write(users))
        return sessions_of(known.get(pk=user_id))
    except (users.DoesNotExist, ValidationError, ValueError, OverflowError, DataError):
        raise Problem("not_found") from None

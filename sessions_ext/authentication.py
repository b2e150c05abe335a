"""Django's own rules for who is logged in (see django.contrib.auth.get_user), held by cookies
and tokens alike, with the user who came with the row."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.db import models

from .reasons import RevokedReason

if TYPE_CHECKING:
    from .models import UserSession


def user_of(session: "UserSession", backend_path: Any) -> tuple[Any, RevokedReason | None]:
    """Who is logged in by a row through that authentication backend. None where Django knows
    nobody then; the reason beside it says that the session has to end for that."""
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None, None
    backend: Any = auth.load_backend(str(backend_path))
    if not _takes_user_as_joined(backend):
        return backend.get_user(session.user_id), None
    if not backend.user_can_authenticate(session.user):
        return None, RevokedReason.USER_DISABLED
    return session.user, None


def auth_hashes(session: "UserSession", user: Any) -> Iterator[str]:
    """The session auth hashes that hold for the user of a row: the one of now, then those of
    SECRET_KEY_FALLBACKS. None for a user model without them."""
    if session._recalled_hashes is not None and user is session.user:
        yield from session._recalled_hashes
    elif hasattr(user, "get_session_auth_hash"):
        yield user.get_session_auth_hash()
        yield from user.get_session_auth_fallback_hash()


def _takes_user_as_joined(backend: Any) -> bool:
    # Another get_user, or a manager with a queryset of its own, may say who exists.
    manager = type(auth.get_user_model()._default_manager)
    return (
        getattr(type(backend), "get_user", None) is ModelBackend.get_user
        and manager.get_queryset is models.Manager.get_queryset
    )

"""Adopts a login without a row. It is older than the installation of this app, or comes from a backend that
logs in at each request (REMOTE_USER)."""

import uuid
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from .models import UserSession, adopted_id

SALT = "_sessions_ext"


def adopt(
    user: Any, request: HttpRequest, session_key: str | None, expires_at: datetime | None
) -> UserSession | None:
    """The row of the login that this session key opens, started if there is none. None if it has ended,
    or if MAX_SESSIONS leaves no room."""
    # The id is derived from the session key. So requests that arrive together make one row, and a
    # cookie from before the adoption cannot open the session again after its end.
    session_id, sessions = id_of_key(session_key or uuid.uuid4().hex), UserSession.objects
    try:
        if session := sessions.verify(user.pk, session_id):
            # A cookie from before the adoption is older than any confirmation since.
            session.carries_latest_proof = session.authenticated_at < session.created_at
            return session
        session = sessions.start(user, request=request, expires_at=expires_at, _id=session_id)
    except IntegrityError:
        return sessions.verify(user.pk, session_id)
    except PermissionDenied:
        return None
    return session if session.is_active else None


def id_of_key(session_key: str) -> uuid.UUID:
    """The id of the row of the login that this session key opens, if that login is adopted."""
    return adopted_id(salted_hmac(SALT, session_key, algorithm="sha256").digest())

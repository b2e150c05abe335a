from django.contrib.sessions.backends.cached_db import KEY_PREFIX
from django.contrib.sessions.backends.cached_db import SessionStore as Engine

from ..store import verified

__all__ = ["KEY_PREFIX", "SessionStore"]

SessionStore = verified(Engine)

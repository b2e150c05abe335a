from django.contrib.sessions.backends.db import SessionStore as Engine

from ..store import verified

SessionStore = verified(Engine)

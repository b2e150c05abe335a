from django.contrib.sessions.backends.file import SessionStore as Engine

from ..store import verified

SessionStore = verified(Engine)

from django.contrib.sessions.backends.signed_cookies import SessionStore as Engine

from ..store import verified

SessionStore = verified(Engine)

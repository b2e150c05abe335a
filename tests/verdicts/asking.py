"""Verifying, where the cache is asked first."""

import time

from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.test import RequestFactory

from sessions_ext import authentication, tokens

BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(user):
    return tokens.login(RequestFactory().post("/"), user, BACKEND)


def verify(session):
    return verify_ids(str(session.user_id), str(session.pk))


def verify_ids(user_id, session_id):
    """The session, where a login that carries whatever auth hash is asked for is valid."""
    login = authentication.verify(
        user_id, session_id, settings.AUTHENTICATION_BACKENDS[0], lambda known: True
    )
    return login and login.session


class Watching(RedisCache):
    """Knows when it failed, by the clock of the machine."""

    failed: list[float] = []

    def get_many(self, *args, **kwargs):
        try:
            return super().get_many(*args, **kwargs)
        except Exception:
            self.failed.append(time.monotonic())
            raise

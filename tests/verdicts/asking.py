"""Verifying, where the cache is asked first."""

from django.test import RequestFactory

from sessions_ext import tokens
from sessions_ext.models import UserSession

BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(user):
    return tokens.login(RequestFactory().post("/"), user, BACKEND)


def verify(session):
    return UserSession.objects.verify(str(session.user_id), str(session.pk), recall=True)

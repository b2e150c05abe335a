"""Logins of callers of every kind."""

from django.test import Client

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory


def log_in_with(**extra):
    """The row that a login through a view leaves."""
    user = UserFactory()
    client = Client()
    response = client.post("/login/", {"username": user.get_username(), "password": "password"}, **extra)
    assert response.content.decode() == user.get_username()
    assert client.get("/who/").content.decode() == user.get_username()
    return UserSession.objects.for_user(user).get()

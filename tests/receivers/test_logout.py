"""Logout: the table and the browser agree."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import log_in
from tests.costs import ONE_ROW
from tests.receivers.rows import credentials, reasons_of

pytestmark = pytest.mark.django_db


def test_a_logout_ends_the_row_of_a_backend_that_is_gone(client, user, settings):
    client.post("/login/", credentials(user))
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get("/who/").content == b"nobody"
    client.get("/logout/")
    assert reasons_of(user) == [RevokedReason.LOGOUT]


def test_a_logout_of_nobody_is_harmless(client, db):
    assert client.get("/logout/").content == b"nobody"
    request = HttpRequest()
    request.session = SessionStore()
    user_logged_out.send(sender=AnonymousUser, request=request, user=None)


def test_a_logout_ends_the_row(client, user, engine):
    client.post("/login/", credentials(user))
    assert client.get("/logout/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.LOGOUT]
    assert client.get("/who/").content == b"nobody"


def test_an_async_logout_ends_the_row(client, aget, user, engine):
    client.post("/login/", credentials(user))
    assert aget("/alogout/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.LOGOUT]


def test_a_logout_costs_one_statement_more(client, user, django_assert_num_queries):
    client.post("/login/", credentials(user))
    with django_assert_num_queries(3 + ONE_ROW):  # load, revoke; Django finds and deletes the payload
        client.get("/logout/")


def test_the_test_client_logs_out(client, user):
    log_in(client, user)
    client.logout()
    assert reasons_of(user) == [RevokedReason.LOGOUT]


def test_the_test_client_logs_out_of_a_row_that_has_ended(client, user):
    log_in(client, user)
    UserSession.objects.for_user(user).revoke("admin")
    client.logout()
    assert reasons_of(user) == ["admin"]

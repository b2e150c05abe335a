"""What a call costs, and when its activity is recorded."""

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection, connections
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.signals import session_client_changed
from sessions_ext.testing import UserFactory, log_in
from tests.api.calls import App, permit, problem, refresh, sign_in, unknown_ids

pytestmark = pytest.mark.django_db


def test_a_call_by_token_costs_one_select(user, app, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert app.get("/sessions/current").status_code == 200
    with django_assert_num_queries(1):
        assert app.get("/bearer").status_code == 200
    with django_assert_num_queries(1):
        assert app.get("/both").status_code == 200
    with django_assert_num_queries(3):  # and the page and its count
        assert app.get("/sessions").status_code == 200
    with django_assert_num_queries(0):
        assert app.get("/sessions", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_call_by_cookie_costs_what_a_view_does(client, user, django_assert_num_queries):
    log_in(client, user)
    with django_assert_num_queries(1):  # Django's session with ours and the user
        assert client.get("/api/sessions/current").status_code == 200
    with django_assert_num_queries(3):
        assert client.get("/api/sessions").status_code == 200
    with django_assert_num_queries(0):
        assert Client().get("/api/sessions").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_activity_is_recorded_once_per_interval(user, later, receiver_of, django_assert_num_queries):
    app = App(user, REMOTE_ADDR="192.0.2.1")
    changed = receiver_of(session_client_changed)
    later(59)
    with django_assert_num_queries(1):
        app.get("/sessions/current")
    later(1)
    with django_assert_num_queries(2):
        app.get("/sessions/current", REMOTE_ADDR="198.51.100.7")
    assert app.session.last_activity_at == timezone.now()
    assert app.session.last_ip_address == "198.51.100.7"
    assert [(sent["previous_ip_address"], sent["ip_address"]) for sent in changed] == [
        ("192.0.2.1", "198.51.100.7")
    ]
    with django_assert_num_queries(1):
        app.get("/sessions/current")
    later(60)
    with CaptureQueriesContext(connection) as queries:
        assert async_to_sync(AsyncClient().get)("/api/aboth", headers=app.headers).status_code == 200
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "UPDATE"]
    assert app.session.last_activity_at == timezone.now()


@pytest.mark.django_db(transaction=True)
def test_activity_is_recorded_after_the_transaction_of_the_request(user, app, later, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    later(60)
    with CaptureQueriesContext(connection) as queries:
        assert app.get("/sessions/current").status_code == 200
    assert [query["sql"].split()[0] for query in queries] == ["BEGIN", "SELECT", "COMMIT", "UPDATE"]
    assert app.session.last_activity_at == timezone.now()


@pytest.mark.django_db(transaction=True)
def test_the_api_works_in_the_transaction_of_the_request(user, settings, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2, "ON_LIMIT": "deny", "REFRESH_GRACE": 0}
    app, other = App(user), App(user)
    assert problem(sign_in(user.get_username())) == "403 session_limit_reached"
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    assert UserSession.objects.active().count() == 2
    used = app.tokens["refresh_token"]
    assert refresh(used).status_code == 200
    assert problem(refresh(used)) == "401 invalid_refresh_token"
    assert app.session.revoked_reason == "refresh_reuse"
    assert other.delete("/sessions/current").status_code == 204
    assert other.session.revoked_reason == "logout"
    staff = App(permit(UserFactory(), "view"))
    for user_id in unknown_ids():
        assert problem(staff.get(f"/users/{user_id}/sessions")) == "404 not_found"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [False, True])
def test_activity_that_cannot_be_recorded_fails_no_call(user, app, later, monkeypatch, atomic):
    def fail(*args):
        raise OperationalError("the disk is full")

    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic)
    monkeypatch.setattr("sessions_ext.activity._write", fail)
    later(60)
    assert app.get("/sessions/current").status_code == 200
    assert app.get("/bearer").status_code == 200
    if not atomic:  # which Django does not have for async views
        assert async_to_sync(AsyncClient().get)("/api/abearer", headers=app.headers).status_code == 200

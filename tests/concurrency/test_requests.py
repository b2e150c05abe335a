"""Requests at once, and in flight while their login ends."""

import threading
from contextlib import contextmanager
from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.contrib import auth
from django.db import connections
from django.test import Client

from sessions_ext.models import UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, log_in
from tests.concurrency.site import HELD, gate
from tests.patience import SECONDS
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


ENGINES = [
    f"django.contrib.sessions.backends.{name}"
    for name in ("db", "cached_db", "cache", "file", "signed_cookies")
]


# Requests


def browser_with(store):
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = store.session_key
    return client


@pytest.mark.urls("tests.concurrency.site")
@pytest.mark.parametrize("engine", ENGINES)
def test_simultaneous_requests_adopt_an_older_login_once(engine, user, settings):
    settings.SESSION_ENGINE = engine
    store = import_module(engine).SessionStore()
    store[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
    store[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    browsers = [browser_with(store) for _ in range(16)]
    answers = at_once([lambda browser=browser: browser.get("/home/") for browser in browsers])
    session = UserSession.objects.get()
    assert {(answer.status_code, answer.content.decode()) for answer in answers} == {(200, str(session.pk))}
    assert {browser.session[ID_KEY] for browser in browsers} == {str(session.pk)}


@contextmanager
def in_flight(client, view):
    """Holds a request inside of a view; gives a list that has its status in the end."""
    gate.entered, gate.release = threading.Event(), threading.Event()
    statuses = []

    def request():
        try:
            statuses.append(client.get(f"/{view}/").status_code)
        except BaseException as error:
            statuses.append(repr(error))
        finally:
            gate.entered.set()
            connections.close_all()

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    try:
        assert gate.entered.wait(SECONDS)
        yield statuses
    finally:
        gate.release.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def end_by_revoke(session, client):
    UserSession.objects.for_user(session.user_id).revoke("user")


def end_by_logout_elsewhere(session, client):
    twin = Client()
    twin.cookies = client.cookies.copy()
    assert twin.post("/logout/").status_code == 302


def end_by_delete(session, client):
    UserSession.objects.for_user(session.user_id).delete()


def end_by_deleting_the_user(session, client):
    session.user.delete()


def end_by_new_password(session, client):
    session.user.set_password("another")
    session.user.save()


@pytest.mark.urls("tests.concurrency.site")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "end",
    [
        end_by_revoke,
        end_by_logout_elsewhere,
        end_by_delete,
        end_by_deleting_the_user,
        end_by_new_password,
    ],
)
def test_a_request_in_flight_when_its_login_ends_is_answered_normally(end, engine, settings):
    """F21: whatever ends the login and whatever the view does, the answer is 200 or 302, and the next
    request of that browser is logged out."""
    settings.SESSION_ENGINE = engine
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    answers, next_answers = {}, {}
    for view in HELD:
        client = Client()
        session = log_in(client, UserFactory())
        with in_flight(client, view) as statuses:
            end(session, client)
        answers[view] = statuses[0]
        next_answers[view] = client.get("/home/").status_code
        assert not UserSession.objects.filter(pk=session.pk).active().exists()
    assert answers == HELD
    assert next_answers == dict.fromkeys(HELD, 302)

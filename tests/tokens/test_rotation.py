"""A rotation holds whatever breaks around it, and a detected replay stays revoked: F02 and F03."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path, resolve

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests import databases
from tests.pairs import are_refused, post, tokens_of
from tests.patience import SECONDS
from tests.urls import urlpatterns as paths

pytestmark = pytest.mark.django_db


def refresh_and_fail(request):
    """The refresh of the API in a project whose own code fails after it."""
    resolve("/api/sessions/refresh").func(request)
    raise RuntimeError("after the rotation")


def refresh_or_raise(request):
    """A view of the project's own that answers a replay with an exception."""
    if tokens.refresh(request.GET["token"]) is None:
        raise PermissionDenied
    return HttpResponse("ok")


@transaction.non_atomic_requests
def refresh_or_raise_outside(request):
    return refresh_or_raise(request)


def refresh_or_answer(request):
    return HttpResponse(status=200 if tokens.refresh(request.GET["token"]) else 403)


urlpatterns = [
    *paths,
    path("refresh-and-fail/", refresh_and_fail),
    path("refresh-or-raise/", refresh_or_raise),
    path("refresh-or-raise-outside/", refresh_or_raise_outside),
    path("refresh-or-answer/", refresh_or_answer),
]

REFRESH = """
import django
django.setup()
import sys
from sessions_ext import tokens
from tests.patience import SECONDS
for token in sys.argv[1:]:
    pair = tokens.refresh(token)
    print(pair and pair.refresh_token)
"""


def refreshed_elsewhere(*refreshed):
    """One after the other, by a process that was started just now, on the same database."""
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", REFRESH, *refreshed]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return result.stdout.split()


@pytest.mark.django_db(transaction=True)
def test_a_restart_revives_no_used_token(user):
    """F02: what a process knew is forgotten, and a rotation holds all the same."""
    pair = tokens_of(user)
    following = tokens.refresh(pair.refresh_token)
    [last] = refreshed_elsewhere(following.refresh_token)
    assert tokens.verify(tokens.refresh(following.refresh_token).access_token)  # a double submit
    assert tokens.refresh(last)
    assert refreshed_elsewhere(pair.refresh_token, last) == ["None", "None"]
    session = UserSession.objects.get()
    assert session.revoked_reason == "refresh_reuse"


@pytest.fixture
def atomic_requests(transactional_db, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("grace", [0, 10])
def test_an_error_after_the_rotation_burns_no_token(user, settings, atomic_requests, grace):
    """F03: under ATOMIC_REQUESTS the rotation is undone with the rest, so that the old token is good."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": grace}
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    for _ in range(3):
        assert post("/refresh-and-fail/", used).status_code == 500
    answer = post("/api/sessions/refresh", used)
    assert answer.status_code == 200
    assert tokens.verify(answer.json()["access_token"])
    assert UserSession.objects.get().previous_refresh_token_id == pair.session.refresh_token_id


@pytest.mark.urls(__name__)
@pytest.mark.django_db(transaction=True)
def test_an_error_after_a_rotation_that_stands_burns_no_token(user):
    """F03: without ATOMIC_REQUESTS the client goes on within the grace window."""
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    assert post("/refresh-and-fail/", used).status_code == 500
    assert UserSession.objects.get().refresh_token_id != pair.session.refresh_token_id
    answer = post("/api/sessions/refresh", used)
    assert answer.status_code == 200
    assert tokens.refresh(answer.json()["refresh_token"])


@pytest.mark.urls(__name__)
def test_a_detected_replay_stays_revoked(user, settings, atomic_requests):
    """F03: the 401 that tells of it undoes nothing, nor does an error of a later request."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    following = post("/api/sessions/refresh", used).json()
    assert post("/api/sessions/refresh", used).status_code == 401
    for token in (pair.refresh_token, following["refresh_token"]):
        assert post("/refresh-and-fail/", {"refresh_token": token}).status_code == 500
        assert UserSession.objects.get().revoked_reason == "refresh_reuse"
    headers = {"Authorization": f"Bearer {following['access_token']}"}
    assert Client().get("/api/sessions", headers=headers).status_code == 401
    answer = post("/api/sessions/refresh", {"refresh_token": following["refresh_token"]})
    assert answer.status_code == 401


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("view", "reason"),
    [("answer", "refresh_reuse"), ("raise-outside", "refresh_reuse"), ("raise", "")],
)
def test_a_replay_before_a_view_of_the_projects_own(user, settings, atomic_requests, view, reason):
    """F03: only an exception that leaves the transaction undoes the end, as refresh() says."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    assert tokens.refresh(pair.refresh_token)
    answer = Client().get(f"/refresh-or-{view}/", {"token": pair.refresh_token})
    assert answer.status_code == 403
    assert UserSession.objects.get().revoked_reason == reason


@pytest.mark.django_db(transaction=True)
def test_a_rotation_that_is_rolled_back_leaves_one_live_family(user, settings):
    """F03: the pair of a rotation that never was is a stranger's."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    with transaction.atomic():
        lost = tokens.refresh(pair.refresh_token)
        transaction.set_rollback(True)
    following = tokens.refresh(pair.refresh_token)
    assert tokens.verify(following.access_token)
    assert tokens.refresh(lost.refresh_token) is None
    assert UserSession.objects.get().revoked_reason == "refresh_reuse"
    assert are_refused(following)

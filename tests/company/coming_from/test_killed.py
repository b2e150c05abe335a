"""A run that is killed at any moment leaves nothing that the next one would stumble over."""

import json
import os
import random
import subprocess
import sys

import pytest
from django.contrib import auth
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.utils.module_loading import import_string

from sessions_ext.models import UserSession
from sessions_ext.other_packages import SOURCES, adopt_sessions
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory
from tests import databases
from tests.company.coming_from.browsers import AGENT, Browser
from tests.patience import SECONDS

KILLS = 6
SESSIONS = 60


def signed_in(source: str, user) -> str:
    """A login in the package's engine, without a request; returns the cookie."""
    store = import_string(f"{SOURCES[source].engine}.SessionStore")(user_agent=AGENT, ip="203.0.113.9")
    store[auth.SESSION_KEY] = str(user.pk)
    store[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save(must_create=True)
    return store.session_key


@pytest.mark.parametrize("source", ["user_sessions", "qsessions"])
def test_who_was_logged_in_stays_so_though_it_is_killed_and_run_again(
    source, transactional_db, after, request
):
    users = [UserFactory() for _ in range(SESSIONS // 3)]
    cookies = {signed_in(source, user): user for user in users * 3}
    connections.close_all()
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.company.coming_from.settings",
    }
    command = [sys.executable, "-m", "tests.company.coming_from.killed_adoptions", source, str(KILLS)]
    run = subprocess.run(
        command, env=environment, cwd=request.config.rootpath, capture_output=True, text=True, timeout=SECONDS
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told == {"killed": KILLS, "amid": KILLS - KILLS // 3}
    assert UserSession.objects.exists()
    result = adopt_sessions(source)
    assert result.is_complete
    assert result.adopted + result.known == SESSIONS
    ids = {Session.objects.get(session_key=key).get_decoded()[ID_KEY] for key in cookies}
    assert ids == {str(pk) for pk in UserSession.objects.values_list("pk", flat=True)}
    assert len(ids) == SESSIONS
    for key, user in random.sample(sorted(cookies.items(), key=lambda each: each[0]), 20):
        assert Browser(cookie=key).sees(after) == user.get_username()
    assert UserSession.objects.active().count() == SESSIONS

"""The cached verdict with a real Redis between real processes."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from django.core.cache import caches
from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests import databases
from tests.patience import SECONDS
from tests.servers import Redis
from tests.verdicts.asking import verify

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 30

# Verifies a session over and over until it is refused, and says when it began the last one
# that was accepted. The clock is the machine's, so that processes can be compared.
WORKER = """
import json, sys, time
import django
from django.test import override_settings
django.setup()
from tests.verdicts.asking import verify_ids
redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": sys.argv[1]}
with override_settings(CACHES={"default": redis}, SESSIONS_EXT={"CACHE": "default"}):
    for line in sys.stdin:
        user_id, session_id = json.loads(line)
        accepted, began = 0, time.monotonic()
        while verify_ids(user_id, session_id):
            accepted, last = accepted + 1, began
            if accepted == 3:
                print("warm", flush=True)
            began = time.monotonic()
        print(json.dumps([accepted, last]), flush=True)
"""


@pytest.fixture
def redis(settings, tmp_path):
    server = Redis(tmp_path)
    server.start()
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": server.url}}
    settings.SESSIONS_EXT = {"CACHE": "default"}
    yield server
    caches["default"].close()
    server.stop()


@contextmanager
def workers(redis, count):
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", WORKER, redis.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_after_a_revoke_returned_no_process_accepts_the_session(redis, user):
    """F17: revoked but alive in a cache."""
    total = 0
    with workers(redis, 3) as processes:
        for _ in range(ROUNDS):
            session = UserSessionFactory(user=user)
            for process in processes:
                process.stdin.write(json.dumps([str(user.pk), str(session.pk)]) + "\n")
                process.stdin.flush()
            for process in processes:
                assert process.stdout.readline() == "warm\n"
            assert UserSession.objects.filter(pk=session.pk).revoke("stolen") == 1
            returned = time.monotonic()
            for process in processes:
                accepted, last = json.loads(process.stdout.readline())
                assert last < returned
                total += accepted
    assert total > 3 * 3 * ROUNDS


def test_what_was_verified_is_not_asked_again(redis, user, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    for queries in (1, 0):
        with django_assert_num_queries(queries):
            assert verify(session) == session
    assert 0 < caches["default"]._cache.get_client().ttl(one_key()) <= 90


def test_a_server_that_dies_and_comes_back_costs_speed_only(redis, user, django_assert_num_queries, caplog):
    session, other = UserSessionFactory(user=user), UserSessionFactory()
    for each in (session, other):
        assert verify(each)
    redis.stop()
    with django_assert_num_queries(1):
        assert verify(other)
    assert UserSession.objects.filter(pk=session.pk).revoke("stolen") == 1
    assert verify(session) is None
    redis.start()  # empty
    caches["default"].close()
    wait_until(lambda: "answers again" in caplog.text)  # and was told of the revoke
    assert verify(session) is None
    for queries in (1, 0):
        with django_assert_num_queries(queries):
            assert verify(other)


def wait_until(is_so):
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def one_key():
    return caches["default"]._cache.get_client().keys()[0]

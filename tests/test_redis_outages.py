"""A real Redis that hangs, dies or is emptied under load, between real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from math import log2

import pytest
from django.core.cache import caches
from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests import databases
from tests.patience import SECONDS
from tests.servers import Redis
from tests.verdicts.asking import verify

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = 0.3  # seconds that the client waits for the cache
THREADS = 2  # of each process
# Verifies some sessions in turns, from several threads, until its input ends. It writes, by the clock of the
# machine, when it began the last look that accepted each and the first that refused each, when each look was
# over, when the cache failed, and what it logged.
WORKER = """
import collections, json, logging, sys, threading, time
import django
from django.test import override_settings
django.setup()
from django.db import connection
from tests.verdicts.asking import Watching, verify_ids
url, timeout, ids, number = json.loads(sys.argv[1])
redis = {"BACKEND": "tests.verdicts.asking.Watching", "LOCATION": url}
redis["OPTIONS"] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
accepted, refused, looks, logged, stop = {}, {}, [], [], threading.Event()
handler = logging.Handler()
handler.emit = lambda record: logged.append(record.getMessage())
logging.getLogger("sessions_ext").addHandler(handler)
def work():
    while not stop.is_set():
        for user_id, session_id in ids:
            began = time.monotonic()
            if verify_ids(user_id, session_id):
                accepted[session_id] = max(began, accepted.get(session_id, 0))
            else:
                refused.setdefault(session_id, began)
            looks.append(time.monotonic())
    connection.close()
with override_settings(CACHES={"default": redis}, SESSIONS_EXT={"CACHE": "default"}):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    while len(accepted) < len(ids):
        time.sleep(0.01)
    print("warm", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
print(json.dumps([accepted, refused, looks, Watching.failed, logged]), flush=True)
"""


@pytest.fixture
def redis(settings, tmp_path):
    server = Redis(tmp_path)
    server.start()
    backend = "django.core.cache.backends.redis.RedisCache"
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": server.url, "OPTIONS": options}}
    settings.SESSIONS_EXT = {"CACHE": "default"}
    yield server
    caches["default"].close()
    server.stop()


@pytest.fixture
def load(redis):
    """Two processes that verify ten sessions of ten users all the time."""
    sessions = [UserSessionFactory(user=UserFactory()) for _ in range(10)]
    ids = [(str(each.user_id), str(each.pk)) for each in sessions]
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", WORKER, json.dumps([redis.url, TIMEOUT, ids, THREADS])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout.readline() == "warm\n"
        yield sessions, processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def hang(redis, seconds):
    os.kill(redis.process.pid, signal.SIGSTOP)
    yield seconds / 2
    yield seconds / 2
    os.kill(redis.process.pid, signal.SIGCONT)


def die(redis, seconds):
    redis.process.kill()
    redis.process.wait(SECONDS)
    yield seconds / 2
    yield seconds / 2
    redis.start()


def be_emptied(redis, seconds):
    yield seconds / 2
    caches["default"].clear()
    yield seconds / 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("outage", "seconds"),
    [(hang, 2), *(pytest.param(each, 5, marks=pytest.mark.slow) for each in (hang, die, be_emptied))],
)
def test_nobody_is_revived_and_nobody_lost(redis, load, outage, seconds):
    """F17: not by what the cache still has, either, when it is back."""
    sessions, processes = load
    began = time.monotonic()
    returned, victims = {}, iter(sessions[:4])
    for pause in outage(redis, seconds):
        for victim in (next(victims), next(victims)):
            assert UserSession.objects.filter(pk=victim.pk).revoke("stolen") == 1
            returned[str(victim.pk)] = time.monotonic()
        time.sleep(pause)
    over = time.monotonic()
    time.sleep(1.5)  # of load after it
    for session in sessions:
        assert bool(verify(session)) is (str(session.pk) not in returned)
    for process in processes:
        accepted, refused, looks, failed, lines = json.loads(process.communicate(timeout=SECONDS)[0])
        assert {
            pk: last - returned[pk] for pk, last in accepted.items() if last > returned.get(pk, last)
        } == {}
        assert set(refused) == set(returned)
        # Each thread waits for the cache once, and after a pause of a second, two, four one of them does.
        assert sum(began < moment < over for moment in failed) <= THREADS + log2(over - began + 1)
        # So there are more looks than if each waited.
        assert sum(began < moment < over for moment in looks) > THREADS * (over - began) / TIMEOUT
        assert len(lines) <= 2 * len(failed), lines

"""A cache that fails is left alone for a moment, and told of every end when it is back."""

import threading
import time

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection

from sessions_ext import outages
from sessions_ext.models import UserSession
from sessions_ext.outages import watched
from sessions_ext.testing import UserSessionFactory
from tests.patience import SECONDS
from tests.verdicts.asking import verify

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def outage(monkeypatch):
    """The calls that reach the cache; it fails while `outage.is_on`."""

    class Outage(list):
        is_on = True

    monkeypatch.setattr(outages, "RETRY", 0.01)
    calls = Outage()
    for name in ("get_many", "set", "add", "delete", "set_many"):
        monkeypatch.setattr(LocMemCache, name, failing(calls, name, getattr(LocMemCache, name)))
    return calls


def failing(outage, name, original):
    def call(self, *args, **kwargs):
        outage.append(name)
        if outage.is_on:
            raise TimeoutError
        return original(self, *args, **kwargs)

    return call


@pytest.fixture
def clock(monkeypatch):
    """Moves the clock of the outages on, which stands still otherwise: no pause ends by itself."""
    now = [time.monotonic()]
    monkeypatch.setattr("sessions_ext.outages.time.monotonic", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def until(is_so):
    deadline = time.time() + SECONDS
    while not is_so():
        assert time.time() < deadline
        time.sleep(0.01)


def test_after_a_failure_it_is_left_alone_for_longer_and_longer(user, outage, clock, caplog):
    session = UserSessionFactory(user=user)
    for pause in (1, 2, 4, 8, 16, 30, 30):
        outage.clear()
        for _ in range(3):
            assert verify(session) == session
        assert outage == ["get_many"]
        clock(pause - 0.5)
        assert verify(session) == session
        assert outage == ["get_many"]
        clock(0.6)
    assert [record.getMessage() for record in caplog.records] == [
        "session cache 'default' failed (TimeoutError), using the database"
    ]


def test_when_it_answers_again_it_is_used_as_before(user, outage, clock, caplog, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    verify(session)
    outage.is_on = False
    clock(1)
    for queries in (1, 0):
        with django_assert_num_queries(queries):
            assert verify(session) == session
    assert len(caplog.records) == 2
    assert caplog.records[1].getMessage() == "session cache 'default' answers again"
    outage.is_on = True
    verify(session)
    clock(0.9)
    assert verify(session)
    assert outage.count("get_many") == 4, "the pause begins with a second again"


def test_after_a_pause_one_caller_tries_it_for_all(user, outage, clock, monkeypatch):
    session = UserSessionFactory(user=user)
    verify(session)
    clock(1)
    asked, go_on = threading.Event(), threading.Event()

    def hang(self, keys):
        asked.set()
        assert go_on.wait(SECONDS)
        raise TimeoutError

    monkeypatch.setattr(LocMemCache, "get_many", hang)

    def work():
        verify(session)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert asked.wait(SECONDS)
    monkeypatch.setattr(LocMemCache, "get_many", lambda self, keys: pytest.fail("asked as well"))
    assert verify(session) == session
    go_on.set()
    thread.join(SECONDS)


def test_several_that_waited_at_once_are_one_failure(outage):
    watch = watched("default")
    together = threading.Barrier(4)

    def fail(cache):
        together.wait(SECONDS)
        raise TimeoutError

    threads = [threading.Thread(target=watch.ask, args=[fail]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert watch._pause == outages.FIRST_PAUSE


def test_an_answer_from_before_the_failure_does_not_end_the_outage(outage, clock):
    watch = watched("default")
    outage.is_on = False

    def answer_late(cache):
        clock(0.1)
        watch.ask(lambda cache: 1 / 0)
        return "late"

    assert watch.ask(answer_late) == "late"
    assert watch.ask(lambda cache: "asked") is None


def test_a_revoke_is_told_as_soon_as_the_cache_is_back(user, outage, clock, caplog):
    session, others = UserSessionFactory(user=user), UserSessionFactory.create_batch(3)
    outage.is_on = False
    assert verify(session)
    outage.is_on = True
    assert UserSession.objects.filter(pk=session.pk).revoke("stolen") == 1
    assert UserSession.objects.filter(pk__in=[each.pk for each in others]).revoke("stolen") == 3
    assert verify(session) is None
    assert sum("could not be told" in record.getMessage() for record in caplog.records) == 1
    tried = outage.count("set_many")
    until(lambda: outage.count("set_many") > tried + 1)  # and was tried again, in vain
    outage.is_on = False
    until(lambda: caplog.records[-1].getMessage() == "session cache 'default' answers again")
    watched.cache_clear()  # another process, which has seen nothing of the outage
    assert verify(session) is None


def test_what_was_cached_before_an_outage_is_not_believed_after_it(user, outage, clock, monkeypatch):
    """Another process may have ended it, and may not have been able to say so."""
    session = UserSessionFactory(user=user)
    outage.is_on = False
    assert verify(session)
    outage.is_on = True
    verify(session)
    UserSession.objects.filter(pk=session.pk)._raw_delete("default")
    outage.is_on = False
    clock(1)
    assert verify(session) is None


def test_what_cannot_be_told_before_it_is_of_no_use_is_dropped(user, outage, clock):
    session = UserSessionFactory(user=user)
    UserSession.objects.filter(pk=session.pk).revoke("stolen")
    clock(91)  # VERDICT_TTL and a minute
    until(lambda: watched("default")._teller is None)
    assert watched("default")._untold == {}


def test_while_rows_are_locked_nobody_waits_for_the_cache(user, settings, monkeypatch):
    """Neither by a revoke, nor by a login at the limit, which locks its user."""
    settings.SESSIONS_EXT = {"CACHE": "default", "MAX_SESSIONS": 1}
    session = UserSessionFactory(user=user)
    locked = []

    def look(self, data, timeout=None, version=None):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND pid = pg_backend_pid()"
                    " OR mode = 'RowShareLock' AND pid = pg_backend_pid()"
                )
                locked.append(cursor.fetchone()[0])
        return []

    monkeypatch.setattr(LocMemCache, "set_many", look)
    UserSession.objects.start(user)
    session.revoke("stolen")
    UserSession.objects.for_user(user).revoke("stolen")
    session.delete()
    assert set(locked) <= {0}

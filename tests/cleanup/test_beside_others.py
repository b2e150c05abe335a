"""Cleanups beside writers, beside each other, and killed."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests import databases
from tests.cleanup.locks import where_rows_are_locked
from tests.cleanup.rows import DAY, RETENTION, TICK, left, make, revoked
from tests.patience import SECONDS
from tests.threads import at_once, scaled

pytestmark = pytest.mark.django_db
REPEATABLE_READ = {
    "postgresql": "SET default_transaction_isolation = 'repeatable read'",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
}


@contextmanager
def writing(user):
    """Two threads that log the user in, and on SQLite wait for 5 seconds at most to do so; yields
    the rows that they made and the errors that they met."""
    rows, errors, done = [], [], threading.Event()

    def write():
        try:
            with connection.cursor() as cursor:
                if connection.vendor == "sqlite":
                    cursor.execute("PRAGMA busy_timeout = 5000")
            while not done.is_set() or not rows:
                rows.append(UserSession.objects.start(user))
                time.sleep(0.01)
        except OperationalError as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield rows, errors
    finally:
        done.set()
        for thread in threads:
            thread.join(SECONDS)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("project")
def test_a_writer_that_waits_up_to_5_seconds_is_never_refused():
    """On SQLite, where all writers share one lock, this is what "database is locked" would break."""
    user = UserFactory()
    now = timezone.now()
    count = scaled(400, 1000)
    make(user, [now - DAY - number * TICK for number in range(count)])
    with writing(user) as (logins, errors):
        assert UserSession.objects.cleanup(batch_size=25) == CleanupResult(count, 0, True)
    assert errors == []
    assert {row.pk for row in left()} == {row.pk for row in logins}


def with_values(rows):
    return {row.pop("id"): row for row in rows.values()}


@pytest.mark.django_db(transaction=True)
def test_killed_at_50_random_moments_it_leaves_exactly_what_should_remain(request):
    user = UserFactory()
    now = timezone.now()
    kept = [
        *make(user, [now + DAY] * 50),
        *revoked(user, [now - DAY] * 50, expires_at=now - TICK),
    ]
    gone = make(user, [now - DAY - number // 3 * TICK for number in range(1500)])
    gone += revoked(user, [now - 2 * RETENTION] * 500)
    rows = UserSession.objects.filter(pk__in=[row.pk for row in kept])
    before = with_values(rows)
    connections.close_all()
    result = subprocess.run(
        [sys.executable, "-m", "tests.cleanup.killed_cleanups", "50"],
        env=os.environ
        | {"DATABASE_URL": databases.url_of(connection), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    killed = json.loads(result.stdout)
    assert killed == {"killed": 50, "amid deletes": 25}
    there = UserSession.objects.count() - len(kept)
    assert 0 < there < len(gone)
    cleaned = UserSession.objects.cleanup()
    assert cleaned.total == there
    assert cleaned.is_complete
    assert with_values(UserSession.objects) == before


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient", "project")
def test_two_at_once_do_the_work_once_under_repeatable_read():
    user = UserFactory()
    now = timezone.now()
    kept = make(user, [now + DAY] * 5)
    make(user, [now - DAY - number * TICK for number in range(400)])

    def clean():
        with connection.cursor() as cursor:
            cursor.execute(REPEATABLE_READ[connection.vendor])
        return UserSession.objects.cleanup(batch_size=20)

    counts = at_once([clean, clean])
    assert sum(cleaned.expired for cleaned in counts) == 400
    assert left() == set(kept)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="of SQLite's one lock for all writers")
@pytest.mark.parametrize("cache", [None, "default"])
def test_a_writer_on_sqlite_gets_its_turns_between_batches(cache, settings):
    settings.SESSIONS_EXT = {"CACHE": cache}
    user = UserFactory()
    make(user, [timezone.now() - DAY])
    columns = [field.column for field in UserSession._meta.concrete_fields if field.column != "id"]
    named = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 40000) "
            f"INSERT INTO sessions_ext_usersession (id, {named}) "
            f"SELECT printf('%032x', n), {named.replace('refresh_token_id', 'NULL', 1)} "
            f"FROM sessions_ext_usersession, numbers"
        )
    with writing(user) as (writes, errors):
        assert UserSession.objects.cleanup(batch_size=1000) == CleanupResult(40001, 0, True)
    assert errors == []
    assert len(writes) > 80  # more than two turns a batch; without a gap for them there are a few in all

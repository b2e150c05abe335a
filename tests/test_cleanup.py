"""How the rows go: in bounded batches along an index, and whatever happens meanwhile, exactly those."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import OperationalError, connection, connections, transaction
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone

from sessions_ext.cleanup import AGES, Cleaned
from sessions_ext.ended import MAX_IDS
from sessions_ext.models import UserSession
from sessions_ext.signals import sessions_cleaned
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests import databases
from tests.threads import at_once

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
RETENTION = 30 * DAY

pytestmark = pytest.mark.django_db


@pytest.fixture
def frozen():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def make(user, times, **fields):
    rows = [
        UserSessionFactory.build(user=user, created_at=at - DAY, **{"expires_at": at, **fields})
        for at in times
    ]
    return UserSession.objects.bulk_create(rows, batch_size=500)


def expired(user, count, step=TICK):
    return make(user, [NOW - DAY - number * step for number in range(count)])


def revoked(user, times, **fields):
    rows = [
        UserSessionFactory.build(
            user=user, revoked=True, revoked_at=at, **{"expires_at": NOW + DAY, "created_at": at, **fields}
        )
        for at in times
    ]
    return UserSession.objects.bulk_create(rows, batch_size=500)


def left():
    return set(UserSession.objects.all())


@contextmanager
def deletes():
    """Collects the number of rows that each DELETE took."""
    sizes = []

    def count(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            sizes.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(count):
        yield sizes


@pytest.fixture
def deleted_ids():
    """What a receiver of post_delete was told."""
    ids = []

    def receive(sender, instance, **kwargs):
        ids.append(instance.pk)

    post_delete.connect(receive, sender=UserSession)
    yield ids
    post_delete.disconnect(receive, sender=UserSession)


@contextmanager
def held(*statements):
    """Another transaction that has run these until the block ends."""
    begun, done, errors = threading.Event(), threading.Event(), []

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                begun.set()
                done.wait(30)
        except Exception as error:
            errors.append(error)
        finally:
            begun.set()
            connection.close()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert begun.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join(30)
    assert not errors


def locking(*rows):
    ids = ", ".join(f"'{row.pk}'" for row in rows)
    return f"SELECT 1 FROM sessions_ext_usersession WHERE id IN ({ids}) FOR UPDATE"


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
            thread.join(60)


# The batches


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_rows_that_ended_in_one_moment_go_in_bounded_batches(user, how):
    """A bulk revoke gives all of its rows one revoked_at."""
    at = NOW - RETENTION - DAY
    kept = expired(user, 0) + make(user, [NOW])
    times = [at - TICK] * 3 + [at] * 40 + [at + TICK] * 3
    make(user, times) if how == "expired" else revoked(user, times)
    with deletes() as sizes:
        cleaned = UserSession.objects.cleanup(batch_size=7)
    assert getattr(cleaned, how) == 46
    assert max(sizes) <= 7
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
def test_a_statement_names_no_more_ids_than_a_database_takes(user):
    revoked(user, [NOW - 2 * RETENTION] * (2 * MAX_IDS + 5))
    with deletes() as sizes:
        assert UserSession.objects.cleanup(batch_size=MAX_IDS + 2) == (0, 2 * MAX_IDS + 5, True)
    assert max(sizes) <= MAX_IDS + 2


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("max_rows", [1, 2, 3, 7, 19, 20, 21, 39, 40, 41])
@pytest.mark.parametrize("step", [TICK, timedelta(0)])
def test_max_rows_is_held_exactly(user, max_rows, step):
    expired(user, 20, step)
    revoked(user, [NOW - 2 * RETENTION - number * step for number in range(20)])
    cleaned = UserSession.objects.cleanup(batch_size=3, max_rows=max_rows)
    assert cleaned.expired + cleaned.revoked == min(max_rows, 40)
    assert len(left()) == 40 - min(max_rows, 40)
    assert cleaned.is_complete == (max_rows >= 40)
    assert UserSession.objects.cleanup(batch_size=3).is_complete
    assert not left()


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("receivers", ["without receivers", "with receivers"])
def test_a_run_that_is_stopped_loses_nothing_and_the_next_one_finishes(user, receivers, request):
    if receivers == "with receivers":
        request.getfixturevalue("deleted_ids")
    kept = make(user, [NOW, NOW + DAY])
    expired(user, 20)
    revoked(user, [NOW - 2 * RETENTION] * 10)
    seen = []
    cleaned = UserSession.objects.cleanup(
        batch_size=5, progress=seen.append, should_stop=lambda: len(seen) == 2
    )
    assert cleaned == (10, 0, False)
    assert seen == [(5, 0, False), (10, 0, False)]
    assert len(left()) == 2 + 20
    assert UserSession.objects.cleanup() == (10, 10, True)
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
def test_a_stop_after_the_last_row_is_no_stop(user):
    expired(user, 10)
    seen = []
    assert UserSession.objects.cleanup(
        batch_size=5, progress=seen.append, should_stop=lambda: len(seen) == 2
    ) == (10, 0, True)


def test_max_seconds_ends_a_run_and_a_pause(user):
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(6)])
    start = time.monotonic()
    assert UserSession.objects.cleanup(batch_size=2, sleep=60, max_seconds=0.3) == (2, 0, False)
    assert 0.3 <= time.monotonic() - start < 5
    assert UserSession.objects.cleanup(max_seconds=0) == (0, 0, False)
    assert UserSession.objects.cleanup(max_seconds=600) == (4, 0, True)


def test_it_sleeps_between_batches(user):
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(6)])
    start = time.monotonic()
    assert UserSession.objects.cleanup(batch_size=2, sleep=0.15) == (6, 0, True)
    assert time.monotonic() - start >= 0.3


@pytest.mark.usefixtures("frozen")
def test_retention_overrides_the_setting(user):
    kept = revoked(user, [NOW - DAY])
    revoked(user, [NOW - DAY - TICK])
    assert UserSession.objects.cleanup(retention=2 * DAY) == (0, 0, True)
    assert UserSession.objects.cleanup(retention=24 * 3600) == (0, 1, True)
    assert left() == set(kept)
    assert UserSession.objects.cleanup(retention=0) == (0, 1, True)


@pytest.mark.usefixtures("frozen")
def test_active_sessions_go_only_when_that_is_asked_for(user):
    kept = make(user, [NOW + DAY])
    make(user, [NOW + DAY - TICK])
    with pytest.raises(ValueError, match="before is in the future"):
        UserSession.objects.cleanup(before=NOW + DAY)
    with pytest.raises(ValueError, match="before is in the future"):
        UserSession.objects.preview_cleanup(before=NOW + DAY)
    assert UserSession.objects.preview_cleanup(NOW + DAY, include_active=True).expired == {"still active": 1}
    assert UserSession.objects.cleanup(before=NOW + DAY, include_active=True) == (1, 0, True)
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -5),
        ("sleep", -0.1),
        ("sleep", float("nan")),
        ("sleep", float("inf")),
        ("max_rows", 0),
        ("max_rows", -1),
        ("max_seconds", -1),
        ("max_seconds", float("inf")),
        ("retention", -1),
        ("retention", "30 days"),
        ("retention", timedelta(days=-1)),
        ("retention", timedelta.max),
    ],
)
def test_a_bound_that_cannot_be_meant_is_named_and_deletes_nothing(user, bound, value):
    rows = expired(user, 1) + revoked(user, [NOW - 2 * RETENTION])
    with pytest.raises(ValueError, match=f"{bound} must be "):
        UserSession.objects.cleanup(**{bound: value})
    assert left() == set(rows)


@pytest.mark.usefixtures("frozen")
def test_the_preview_counts_exactly_what_goes_by_reason_and_age(user):
    make(user, [NOW, NOW + DAY])
    revoked(user, [NOW - RETENTION])
    make(user, [NOW - TICK, NOW - DAY + TICK, NOW - DAY, NOW - 7 * DAY, NOW - 400 * DAY])
    revoked(user, [NOW - RETENTION - TICK] * 2)
    revoked(user, [NOW - 89 * DAY, NOW - 90 * DAY, NOW - 365 * DAY], revoked_reason="stolen laptop")
    preview = UserSession.objects.preview_cleanup()
    assert preview.expired == {"under a day": 2, "1 to 7 days": 1, "7 to 30 days": 1, "over a year": 1}
    assert preview.revoked == {
        "user": {"30 to 90 days": 2},
        "stolen laptop": {"30 to 90 days": 1, "90 to 365 days": 1, "over a year": 1},
    }
    assert {*preview.expired, *preview.revoked["stolen laptop"]} <= set(AGES)
    assert UserSession.objects.cleanup() == (5, 5, True)


@pytest.mark.usefixtures("frozen")
def test_the_counts_are_sent_once_for_a_run(user, receiver_of, django_capture_on_commit_callbacks):
    received = receiver_of(sessions_cleaned)
    expired(user, 5)
    revoked(user, [NOW - 2 * RETENTION] * 2)
    with django_capture_on_commit_callbacks(execute=True):
        UserSession.objects.cleanup(batch_size=2, max_rows=6)
    assert received == [{"expired": 5, "revoked": 1, "is_complete": False}]


def analyze():
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE sessions_ext_usersession")


@pytest.fixture
def own_statistics():
    """Those that analyze() gathers, and none of a moment amid the load."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions_ext_usersession SET (autovacuum_enabled = off)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions_ext_usersession RESET (autovacuum_enabled)")


@contextmanager
def plans():
    """Collects the statements that run, those inside of a DO too, and how the server went about each."""
    found = []

    def receive(message):
        text = re.search(r"Query Text: (.*?)\n(\w.*cost=.*)", message.message_primary, re.DOTALL)
        if text and "sessions_ext_usersession" in text[1]:
            found.append(text.groups())

    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        cursor.execute("SET auto_explain.log_min_duration = 0")
        cursor.execute("SET auto_explain.log_nested_statements = on")
        cursor.execute("SET auto_explain.log_level = 'notice'")
    connection.connection.add_notice_handler(receive)
    try:
        yield found
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_statistics")
@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.skipif("FOREIGN_KEYS" in os.environ, reason="which load the rows of a batch")
@pytest.mark.parametrize("statistics", ["new", "of an empty table", "of revoked rows alone"])
@pytest.mark.parametrize("sleep", [0, 0.001], ids=["many batches a call", "one by one"])
def test_each_statement_reads_an_index_in_order_and_sorts_nothing(statistics, sleep):
    user = UserFactory()
    now = timezone.now()
    if statistics == "of revoked rows alone":
        # Of one user after the other, and to expire in no order, so that the other index looks cheaper.
        for each in UserFactory.create_batch(2):
            for number in range(1000):
                revoked(each, [now - DAY], expires_at=now + number * 617 % 1000 * DAY)
    analyze()
    make(user, [now + DAY + number * TICK for number in range(3000)])
    make(user, [now - DAY - number * TICK for number in range(3000)])
    revoked(user, [now - 2 * RETENTION - number * TICK for number in range(1500)])
    revoked(user, [now - 3 * RETENTION] * 1500)
    if statistics == "new":
        analyze()
    with plans() as found:
        assert UserSession.objects.cleanup(batch_size=250, sleep=sleep) == (3000, 3000, True)
    marks = [plan for sql, plan in found if "ORDER BY" in sql]
    ranges = [plan for sql, plan in found if sql.startswith("DELETE") and " IN (" not in sql]
    ties = [plan for sql, plan in found if sql.startswith("DELETE") and " IN (" in sql]
    assert len(marks) + len(ranges) + len(ties) == len(found)
    assert min(len(marks), len(ranges)) > 15
    assert len(ties) >= 5
    for plan in marks:
        assert re.search(r"Index (Only )?Scan using sessions_ext_(expiry|revoked)", plan), plan
    for plan in ranges:
        assert re.search(r"Index Scan (on|using) sessions_ext_(expiry|revoked)", plan), plan
    for plan in ties:
        assert re.search(r"Index Scan (on|using) sessions_ext_(usersession_pkey|revoked)", plan), plan
    for _, plan in found:
        assert "Sort" not in plan, plan
        assert "Seq Scan" not in plan, plan


# With receivers


@pytest.mark.usefixtures("frozen")
def test_receivers_of_post_delete_hear_of_every_row_and_of_no_other(user, deleted_ids):
    kept = make(user, [NOW, NOW + DAY]) + revoked(user, [NOW - RETENTION])
    gone = expired(user, 12) + revoked(user, [NOW - 2 * RETENTION] * 11)
    with deletes() as sizes:
        assert UserSession.objects.cleanup(batch_size=5) == (12, 11, True)
    assert sorted(deleted_ids) == sorted(row.pk for row in gone)
    assert max(sizes) <= 5
    assert left() == set(kept)


@pytest.mark.django_db(databases=["default", "other"])
def test_receivers_hear_of_the_rows_of_another_database(deleted_ids):
    owner = UserFactory.build(username="owner")
    owner.save(using="other")
    session = UserSessionFactory.build(user=owner, expired=True)
    session.save(using="other")
    assert UserSession.objects.db_manager("other").cleanup() == (1, 0, True)
    assert deleted_ids == [session.pk]
    assert not UserSession.objects.using("other").exists()


@pytest.mark.usefixtures("frozen")
def test_a_receiver_that_fails_leaves_its_batch_whole(user):
    rows = expired(user, 6)

    def refuse(instance, **kwargs):
        if instance.pk == rows[1].pk:  # in the last batch, which is the youngest
            raise RuntimeError("no")

    pre_delete.connect(refuse, sender=UserSession)
    try:
        with pytest.raises(RuntimeError):
            UserSession.objects.cleanup(batch_size=3)
    finally:
        pre_delete.disconnect(refuse, sender=UserSession)
    assert left() == set(rows[:3])


@pytest.mark.django_db(transaction=True)
def test_a_row_that_changes_while_receivers_run_is_not_deleted():
    """Its end is moved by another connection between the look at a batch and the delete."""
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    saved, changed = rows[3], threading.Event()

    def save(**kwargs):
        if changed.is_set():
            return
        changed.set()
        in_other_connection(
            lambda: UserSession.objects.filter(pk=saved.pk).update(expires_at=timezone.now() + DAY)
        )

    def in_other_connection(call):
        def run():
            with connection.cursor() as cursor:
                quick = {
                    "postgresql": "SET lock_timeout = '300ms'",
                    "sqlite": "PRAGMA busy_timeout = 300",
                }
                cursor.execute(quick[connection.vendor])
            try:
                call()
            except OperationalError:
                refused.append(1)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)

    refused, gone = [], []

    def receive(instance, **kwargs):
        gone.append(instance.pk)

    pre_delete.connect(save, sender=UserSession)
    post_delete.connect(receive, sender=UserSession)
    try:
        cleaned = UserSession.objects.cleanup(batch_size=50)
    finally:
        pre_delete.disconnect(save, sender=UserSession)
        post_delete.disconnect(receive, sender=UserSession)
    # The rows were locked when the receivers ran, so the change had to wait: it came too late.
    assert refused == [1]
    assert cleaned == (20, 0, True)
    assert len(gone) == 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_row_that_lives_on_when_its_lock_is_free_is_spared(deleted_ids):
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    locked = threading.Event()

    def extend():
        with transaction.atomic():
            UserSession.objects.filter(pk=rows[3].pk).update(expires_at=timezone.now() + DAY)
            locked.set()
            time.sleep(0.5)
        connections.close_all()

    thread = threading.Thread(target=extend)
    thread.start()
    assert locked.wait(30)
    assert UserSession.objects.cleanup(batch_size=50) == (19, 0, True)
    thread.join(30)
    assert [row.pk for row in left()] == [rows[3].pk]
    assert rows[3].pk not in deleted_ids


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_locked_row_does_not_hold_a_run_past_its_time():
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    start = time.monotonic()
    with held(locking(rows[3])):
        assert UserSession.objects.cleanup(batch_size=50, max_seconds=0.5) == (19, 0, False)
    assert time.monotonic() - start < 10


# Against others


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("receivers", ["without receivers", "with receivers"])
def test_a_writer_that_waits_up_to_5_seconds_is_never_refused(receivers, request):
    """On SQLite, where all writers share one lock, this is what "database is locked" would break."""
    if receivers == "with receivers":
        request.getfixturevalue("deleted_ids")
    user = UserFactory()
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(4000)])
    with writing(user) as (logins, errors):
        assert UserSession.objects.cleanup(batch_size=100) == (4000, 0, True)
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
    gone = make(user, [now - DAY - number // 3 * TICK for number in range(3000)])
    gone += revoked(user, [now - 2 * RETENTION] * 1000)
    rows = UserSession.objects.filter(pk__in=[row.pk for row in kept])
    before = with_values(rows)
    connections.close_all()
    result = subprocess.run(
        [sys.executable, "-m", "tests.killed_cleanups", "50"],
        env=os.environ
        | {"DATABASE_URL": databases.url_of(connection), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    killed = json.loads(result.stdout)
    assert killed == {"killed": 50, "amid deletes": 25}
    there = UserSession.objects.count() - len(kept)
    assert 0 < there < len(gone)
    cleaned = UserSession.objects.cleanup()
    assert cleaned.expired + cleaned.revoked == there
    assert cleaned.is_complete
    assert with_values(UserSession.objects) == before


def test_the_counts_read_as_words():
    assert repr(Cleaned(1, 2, False)) == "Cleaned(expired=1, revoked=2, is_complete=False)"


on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has no locks of rows, nor such triggers"
)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.01)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("receivers", [False, True])
def test_a_lock_that_lasts_keeps_no_other_row_and_is_told_of(receivers, request, caplog):
    if receivers:
        request.getfixturevalue("deleted_ids")
    user = UserFactory()
    now = timezone.now()
    rows = make(user, [now - DAY - number * TICK for number in range(40)])
    rows += revoked(user, [now - 2 * RETENTION] * 30)
    with held(locking(rows[7], rows[8], rows[50])):
        assert UserSession.objects.cleanup(batch_size=5) == (38, 29, False)
    assert left() == {rows[7], rows[8], rows[50]}
    assert "cleanup left expired sessions" in caplog.text
    assert "cleanup left revoked sessions" in caplog.text
    assert UserSession.objects.cleanup() == (2, 1, True)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_what_was_locked_is_deleted_when_the_lock_is_free_before_the_end(monkeypatch):
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.2)
    lock = held(locking(rows[3]))
    lock.__enter__()
    threading.Timer(0.5, lambda: lock.__exit__(None, None, None)).start()
    assert UserSession.objects.cleanup(batch_size=6) == (20, 0, True)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_a_run_that_is_stopped_behind_a_locked_row_is_not_complete():
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(4)])
    with held(locking(rows[3])):
        assert UserSession.objects.cleanup(batch_size=2, max_rows=3) == (3, 0, False)
    assert left() == {rows[3]}


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_more_tied_rows_than_a_batch_that_are_locked_hold_up_nothing():
    user = UserFactory()
    now = timezone.now()
    tied = revoked(user, [now - 3 * RETENTION] * 20)
    later = revoked(user, [now - 2 * RETENTION - number * TICK for number in range(20)])
    with held(locking(*tied)):
        assert UserSession.objects.cleanup(batch_size=5) == (0, 20, False)
    assert left() == set(tied)
    assert not left() & set(later)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("count", [20, 25])
def test_a_lock_of_the_table_amid_a_bulk_revoke_loses_no_row_of_it(count):
    """CREATE INDEX, say: who reads and who locks rows gets through, and who deletes waits."""
    user = UserFactory()
    now = timezone.now()
    revoked(user, [now - 3 * RETENTION] * count)
    revoked(user, [now - 2 * RETENTION - number * TICK for number in range(3)])
    lock = held("LOCK TABLE sessions_ext_usersession IN SHARE MODE")
    begun = []

    def lock_for_a_while(done):
        if not begun:
            begun.append(lock.__enter__())
            threading.Timer(1.5, lambda: lock.__exit__(None, None, None)).start()

    cleaned = UserSession.objects.cleanup(batch_size=5, progress=lock_for_a_while, max_seconds=30)
    assert cleaned == (0, count + 3, True)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("calls", [5, 10, 15, 20])
def test_a_run_that_stops_just_behind_locked_rows_is_not_complete(calls):
    revoked(UserFactory(), [timezone.now() - 2 * RETENTION] * 20)
    seen = []
    with held("SELECT 1 FROM sessions_ext_usersession FOR UPDATE"):
        cleaned = UserSession.objects.cleanup(
            batch_size=5, should_stop=lambda: seen.append(1) or len(seen) > calls
        )
    assert cleaned == (0, 0, False)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_rows_of_a_bulk_revoke_that_another_run_deletes_hide_no_others(monkeypatch):
    monkeypatch.setattr("sessions_ext.ended.TIED_AHEAD", 10)
    revoked(UserFactory(), [timezone.now() - 2 * RETENTION] * 30)
    others = []

    def run_other():
        try:
            others.append(UserSession.objects.cleanup(batch_size=5, max_rows=10))
        finally:
            connections.close_all()

    def cut_in(execute, sql, params, many, context):
        if not others and sql.startswith("DELETE") and " IN (" in sql:
            thread = threading.Thread(target=run_other)
            thread.start()
            thread.join(30)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(cut_in):
        cleaned = UserSession.objects.cleanup(batch_size=5)
    assert others == [(0, 10, False)]
    assert cleaned == (0, 20, True)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_a_locked_bulk_revoke_holds_up_no_other_a_moment_later(monkeypatch):
    monkeypatch.setattr("sessions_ext.ended.TIED_AHEAD", 20)
    user, at = UserFactory(), timezone.now() - 2 * RETENTION
    kept = revoked(user, [at] * 20)
    revoked(user, [at + TICK] * 20)
    with held(locking(*kept)):
        assert UserSession.objects.cleanup(batch_size=5) == (0, 20, False)
    assert left() == set(kept)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_it_runs_with_receivers_where_every_statement_is_prepared(monkeypatch, deleted_ids):
    user, now = UserFactory(), timezone.now()
    make(user, [now - DAY - number * TICK for number in range(10)])
    options = connection.settings_dict["OPTIONS"] | {"server_side_binding": True, "prepare_threshold": 0}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    try:
        assert UserSession.objects.cleanup(batch_size=3) == (10, 0, True)
    finally:
        connection.close()
    assert len(deleted_ids) == 10


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_receivers_run_under_the_settings_of_their_connection():
    session = UserSessionFactory(expired=True)
    names = ["lock_timeout", "synchronous_commit", "enable_sort", "enable_seqscan"]
    seen = []

    def settings_of_the_session():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
            return cursor.fetchone()

    def receive(**kwargs):
        seen.append(settings_of_the_session())

    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '7s'; SET synchronous_commit = 'remote_apply'")
    before = settings_of_the_session()
    post_delete.connect(receive, sender=UserSession)
    try:
        assert UserSession.objects.cleanup() == (1, 0, True)
        assert [*seen, settings_of_the_session()] == [before, before]
    finally:
        post_delete.disconnect(receive, sender=UserSession)
        connection.close()
    assert session not in left()


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_a_locked_table_does_not_hold_a_run_past_its_time():
    UserSessionFactory(expired=True)
    start = time.monotonic()
    with held("LOCK TABLE sessions_ext_usersession IN ACCESS EXCLUSIVE MODE"):
        assert UserSession.objects.cleanup(max_seconds=0.5) == (0, 0, False)
        assert time.monotonic() - start < 10
    assert UserSession.objects.cleanup() == (1, 0, True)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_rows_that_a_trigger_keeps_do_not_keep_a_run_for_ever():
    user = UserFactory()
    now = timezone.now()
    kept = revoked(user, [now - 3 * RETENTION] * 20) + make(user, [now - DAY])
    gone = revoked(user, [now - 2 * RETENTION])
    ids = ", ".join(f"'{row.pk}'" for row in kept)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF OLD.id IN ({ids}) THEN RETURN NULL; END IF; RETURN OLD; END $$; "
            "CREATE TRIGGER keep BEFORE DELETE ON sessions_ext_usersession "
            "FOR EACH ROW EXECUTE FUNCTION keep()"
        )
        try:
            assert UserSession.objects.cleanup(batch_size=5, max_seconds=30)[:2] == (0, 1)
        finally:
            cursor.execute("DROP FUNCTION keep CASCADE")
    assert left() == set(kept)
    assert not left() & set(gone)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_a_receiver_that_meets_a_lock_waits_for_it_and_runs_once_a_row(deleted_ids):
    user, other = UserFactory(), UserFactory(username="locked")
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(10)])

    def touch_other(**kwargs):
        type(other)._base_manager.filter(pk=other.pk).update(first_name="seen")

    table = type(other)._meta.db_table
    lock = held(f"SELECT 1 FROM {table} WHERE username = 'locked' FOR UPDATE")
    lock.__enter__()
    threading.Timer(0.6, lambda: lock.__exit__(None, None, None)).start()
    post_delete.connect(touch_other, sender=UserSession)
    try:
        assert UserSession.objects.cleanup() == (10, 0, True)
    finally:
        post_delete.disconnect(touch_other, sender=UserSession)
    assert sorted(deleted_ids) == sorted(row.pk for row in rows)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_a_receiver_that_will_not_wait_for_its_own_lock_is_not_taken_for_a_locked_session():
    user, other = UserFactory(), UserFactory(username="locked")
    UserSessionFactory(user=user, expired=True)

    def refuse(**kwargs):
        list(type(other)._base_manager.select_for_update(nowait=True).filter(pk=other.pk))

    table = type(other)._meta.db_table
    post_delete.connect(refuse, sender=UserSession)
    try:
        with (
            held(f"SELECT 1 FROM {table} WHERE username = 'locked' FOR UPDATE"),
            pytest.raises(OperationalError),
        ):
            UserSession.objects.cleanup(max_seconds=20)
    finally:
        post_delete.disconnect(refuse, sender=UserSession)
    assert UserSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_two_at_once_do_the_work_once_under_repeatable_read():
    user = UserFactory()
    now = timezone.now()
    kept = make(user, [now + DAY] * 5)
    make(user, [now - DAY - number * TICK for number in range(3000)])

    def clean():
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_isolation = 'repeatable read'")
        return UserSession.objects.cleanup(batch_size=50)

    counts = at_once([clean, clean])
    assert sum(cleaned.expired for cleaned in counts) == 3000
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
def test_the_ids_of_a_bulk_revoke_are_read_many_batches_ahead(user):
    revoked(user, [NOW - 2 * RETENTION] * 60)
    reads = []

    def count(execute, sql, params, many, context):
        if "ORDER BY" in sql and '"id"' in sql.partition("FROM")[0]:
            reads.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        assert UserSession.objects.cleanup(batch_size=5) == (0, 60, True)
    assert len(reads) == 1


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
        assert UserSession.objects.cleanup(batch_size=1000) == (40001, 0, True)
    assert errors == []
    assert len(writes) > 80  # more than two turns a batch; without a gap for them there are a few in all

"""How PostgreSQL goes from batch to batch by itself, and what then still comes back to us."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.cleanup.locks import held, locking
from tests.cleanup.rows import DAY, RETENTION, TICK, left, make, revoked

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no such language"),
    pytest.mark.skipif("'FOREIGN_KEYS' in os.environ", reason="which load the rows of a batch"),
]


@pytest.fixture
def user():
    return UserFactory()


@pytest.fixture
def statements():
    """Collects what is sent to the server."""
    sent = []

    def collect(execute, sql, params, many, context):
        sent.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(collect):
        yield sent


@pytest.fixture
def in_small_slices(monkeypatch):
    """Each call ends after one batch, and the next one goes on where it ended."""
    monkeypatch.setattr("sessions_ext.cleanup.SLICE", 0)


def expired(user, count):
    end = timezone.now() - DAY
    return make(user, [end - number * TICK for number in range(count)])


@contextmanager
def soon(function):
    """Another connection calls it on the server process of this one, once some rows are gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    rows = len(left())

    def run():
        try:
            give_up = time.monotonic() + 10
            while len(left()) == rows and time.monotonic() < give_up:
                time.sleep(0.01)
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {function}({pid})")
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def dawdling(seconds, at_commit=False):
    """Each row takes the server so long, at least, when it is deleted or when that is committed."""
    if at_commit:
        kind, moment, deferred = "CONSTRAINT", "AFTER", "DEFERRABLE INITIALLY DEFERRED"
    else:
        kind, moment, deferred = "", "BEFORE", ""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN PERFORM pg_sleep({seconds}); RETURN OLD; END $$;"
            f"CREATE {kind} TRIGGER dawdle {moment} DELETE ON sessions_ext_usersession {deferred}"
            " FOR EACH ROW EXECUTE FUNCTION dawdle();"
        )
    try:
        yield
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION dawdle CASCADE")


@pytest.fixture
def slowly():
    with dawdling(0.001):
        yield


@pytest.fixture
def in_one_slice(monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.SLICE", 60)


def loops(statements):
    return [sql for sql in statements if sql.startswith("DO ")]


def test_a_hundred_batches_cost_few_calls(user, statements):
    expired(user, 200)
    long_ago = timezone.now() - 2 * RETENTION
    revoked(user, [long_ago - number * TICK for number in range(200)])
    seen = []
    assert UserSession.objects.cleanup(batch_size=4, progress=seen.append) == (200, 200, True)
    assert len(seen) == 100
    assert len(loops(statements)) >= 2
    assert len(statements) < 30


@pytest.mark.usefixtures("in_small_slices")
def test_a_call_goes_on_to_the_microsecond_where_the_last_one_ended(user, statements):
    before = timezone.now() - DAY
    make(user, [before - number * TICK for number in range(1, 61)])
    kept = make(user, [before, before + TICK])
    assert UserSession.objects.cleanup(before=before, batch_size=1) == (60, 0, True)
    assert left() == set(kept)
    assert len(loops(statements)) >= 20


@pytest.mark.usefixtures("in_small_slices")
def test_it_goes_on_where_times_have_no_zone(user, settings, statements):
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"
    connection.close()
    try:
        expired(user, 60)
        assert UserSession.objects.cleanup(batch_size=2) == (60, 0, True)
    finally:
        connection.close()
    assert len(loops(statements)) >= 10


@pytest.mark.parametrize("max_rows", [1, 2, 3, 7, 19, 20, 21, 39, 40, 41])
def test_max_rows_is_held_exactly(user, max_rows):
    expired(user, 20)
    revoked(user, [timezone.now() - 2 * RETENTION - number * TICK for number in range(20)])
    cleaned = UserSession.objects.cleanup(batch_size=3, max_rows=max_rows)
    assert cleaned.expired + cleaned.revoked == 40 - len(left()) == min(max_rows, 40)
    assert cleaned.is_complete == (max_rows >= 40)


def test_in_a_transaction_it_commits_nothing(user, statements):
    rows = expired(user, 20)
    with transaction.atomic():
        assert UserSession.objects.cleanup(batch_size=3) == (20, 0, True)
        transaction.set_rollback(True)
    assert left() == set(rows)
    assert loops(statements) == []


def test_a_text_in_the_filter_of_a_projects_manager_stays_a_text(user, statements, monkeypatch):
    nasty = "$$ 'quoted' %s {braces} \\ ; --"
    end = timezone.now() - DAY
    make(user, [end - number * TICK for number in range(20)], device_info=nasty)
    kept = make(user, [end])
    rows = UserSession.objects.filter(device_info=nasty)
    monkeypatch.setattr(type(UserSession.objects), "get_queryset", lambda self: rows.all())
    assert UserSession.objects.cleanup(batch_size=3) == (20, 0, True)
    assert set(UserSession._base_manager.all()) == set(kept)
    assert len(loops(statements)) >= 2


@pytest.mark.usefixtures("slowly")
def test_a_stop_ends_it_within_a_moment(user):
    expired(user, 1_000)
    stopped = []
    start = time.monotonic()
    cleaned = UserSession.objects.cleanup(
        batch_size=1, progress=lambda done: stopped or stopped.append(1), should_stop=lambda: stopped
    )
    assert time.monotonic() - start < 2
    assert not cleaned.is_complete
    assert 0 < cleaned.expired == 1_000 - len(left())


@pytest.mark.usefixtures("slowly")
def test_max_seconds_ends_it(user):
    expired(user, 1_000)
    start = time.monotonic()
    cleaned = UserSession.objects.cleanup(batch_size=1, max_seconds=0.3)
    assert time.monotonic() - start < 2
    assert not cleaned.is_complete
    assert 0 < cleaned.expired == 1_000 - len(left())


def test_what_came_before_a_locked_row_is_counted_once(user, monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.01)
    rows = expired(user, 40)
    seen = []
    with held(locking(rows[10])):
        assert UserSession.objects.cleanup(batch_size=3, progress=seen.append) == (39, 0, False)
    assert [done.expired for done in seen] == sorted({done.expired for done in seen})
    assert left() == {rows[10]}


def test_without_the_language_it_goes_from_batch_to_batch_itself(user, statements):
    expired(user, 20)
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION plpgsql")
    try:
        assert UserSession.objects.cleanup(batch_size=3) == (20, 0, True)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION plpgsql")
    assert len(loops(statements)) == 2  # one for each way to end, and no more


@pytest.mark.usefixtures("in_one_slice")
@pytest.mark.parametrize("at_commit", [False, True])
def test_where_a_statement_may_not_last_it_goes_from_batch_to_batch_itself(user, statements, at_commit):
    """Of which each is short enough. The one that the time ended is told only if it is committed."""
    expired(user, 200)
    seen = []
    with dawdling(0.01, at_commit):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '1s'")
        assert UserSession.objects.cleanup(batch_size=2, progress=seen.append) == (200, 0, True)
    assert left() == set()
    assert [done.expired for done in seen] == list(range(2, 201, 2))
    assert len(loops(statements)) == 2


@pytest.mark.usefixtures("in_one_slice")
@pytest.mark.parametrize("at_commit", [False, True])
def test_max_rows_is_held_exactly_though_the_time_of_a_statement_runs_out(user, at_commit):
    expired(user, 200)
    with dawdling(0.01, at_commit):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '1s'")
        assert UserSession.objects.cleanup(batch_size=2, max_rows=199) == (199, 0, False)
    assert len(left()) == 1


@pytest.mark.usefixtures("slowly", "in_one_slice")
def test_who_cancels_it_ends_it_and_all_that_went_is_told(user):
    expired(user, 1_000)
    seen = []
    with soon("pg_cancel_backend"), pytest.raises(OperationalError, match="cancel"):
        UserSession.objects.cleanup(batch_size=1, progress=seen.append)
    assert 0 < seen[-1].expired == 1_000 - len(left())


def test_a_locked_batch_is_waited_for_once(user, statements, monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.RETURNS", 0)
    rows = expired(user, 40)
    with held(locking(rows[10])):
        assert UserSession.objects.cleanup(batch_size=4) == (39, 0, False)
    named = [sql for sql in statements if "SKIP LOCKED" in sql]
    ranges = [sql for sql in statements if sql.startswith("DELETE") and " IN (" not in sql]
    assert (len(named), len(ranges)) == (1, 2)  # and the last batch of either way to end


@pytest.mark.usefixtures("slowly", "in_one_slice")
def test_a_connection_that_is_lost_amid_it_tells_all_that_went(user):
    expired(user, 1_000)
    seen = []
    with soon("pg_terminate_backend"), pytest.raises(OperationalError):
        UserSession.objects.cleanup(batch_size=1, progress=seen.append)
    connection.close()
    assert seen
    assert 1_000 - len(left()) - seen[-1].expired in {0, 1}  # a commit that nobody heard of


@pytest.mark.parametrize("options", [{"server_side_binding": True, "prepare_threshold": 0}, {}])
def test_it_runs_where_every_statement_is_prepared(user, monkeypatch, statements, options):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", connection.settings_dict["OPTIONS"] | options)
    connection.close()
    try:
        expired(user, 20)
        make(user, [timezone.now() + timedelta(days=number) for number in range(1, 4)])
        assert UserSession.objects.cleanup(batch_size=3) == (20, 0, True)
    finally:
        connection.close()
    assert len(left()) == 3
    assert len(loops(statements)) >= 1

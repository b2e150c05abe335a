"""Rows and tables that others hold keep no other row, and no run past its time."""

import re
import threading
from contextlib import ExitStack, contextmanager

import pytest
from django.db import OperationalError, connection, connections
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.cleanup.locks import (
    LOCK_ALL,
    LOCK_WRITES,
    held,
    locking,
    on_postgresql,
    when_met,
    where_rows_are_locked,
)
from tests.cleanup.rows import DAY, RETENTION, TICK, deletes, left, make, revoked
from tests.patience import SECONDS

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_locked_row_does_not_hold_a_run_past_its_time(clock):
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    with held(locking(rows[3])):
        assert UserSession.objects.cleanup(batch_size=50, max_seconds=0.5) == CleanupResult(19, 0, False)
    assert 0.5 <= clock.now < 0.7


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient", "project")
def test_a_lock_that_lasts_keeps_no_other_row_and_is_told_of_once(caplog):
    user = UserFactory()
    now = timezone.now()
    rows = make(user, [now - DAY - number * TICK for number in range(40)])
    rows += revoked(user, [now - 2 * RETENTION] * 30)
    with held(locking(rows[7], rows[8], rows[50])):
        assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(38, 29, False)
    assert left() == {rows[7], rows[8], rows[50]}
    assert [message.partition(" that ")[0] for message in caplog.messages] == [
        "cleanup skipped expired rows of sessions_ext_usersession",
        "cleanup skipped revoked rows of sessions_ext_usersession",
    ]
    assert UserSession.objects.cleanup() == CleanupResult(2, 1, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_what_was_locked_is_deleted_when_the_lock_is_free_before_the_end():
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    with held(locking(rows[3])) as let_go, when_met(let_go):
        assert UserSession.objects.cleanup(batch_size=6) == CleanupResult(20, 0, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_run_that_is_stopped_behind_a_locked_row_is_not_complete():
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(4)])
    with held(locking(rows[3])):
        assert UserSession.objects.cleanup(batch_size=2, max_rows=3) == CleanupResult(3, 0, False)
    assert left() == {rows[3]}


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_more_tied_rows_than_a_batch_that_are_locked_hold_up_nothing():
    user = UserFactory()
    now = timezone.now()
    tied = revoked(user, [now - 3 * RETENTION] * 20)
    later = revoked(user, [now - 2 * RETENTION - number * TICK for number in range(20)])
    with held(locking(*tied)):
        assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(0, 20, False)
    assert left() == set(tied)
    assert not left() & set(later)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("count", [20, 25])
def test_a_lock_of_the_table_amid_a_bulk_revoke_loses_no_row_of_it(count):
    """CREATE INDEX, say: who reads and who locks rows gets through, and who deletes waits."""
    user = UserFactory()
    now = timezone.now()
    revoked(user, [now - 3 * RETENTION] * count)
    revoked(user, [now - 2 * RETENTION - number * TICK for number in range(3)])
    lock = held(LOCK_WRITES[connection.vendor])
    with ExitStack() as stack:

        def lock_for_a_while(done):
            if not begun:
                begun.append(let_go := stack.enter_context(lock))
                stack.enter_context(when_met(let_go))

        begun = []
        cleaned = UserSession.objects.cleanup(batch_size=5, progress=lock_for_a_while, max_seconds=300)
    assert cleaned == CleanupResult(0, count + 3, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("calls", [5, 10, 15, 20])
def test_a_run_that_stops_just_behind_locked_rows_is_not_complete(calls):
    revoked(UserFactory(), [timezone.now() - 2 * RETENTION] * 20)
    seen = []
    with held("SELECT 1 FROM sessions_ext_usersession FOR UPDATE"):
        cleaned = UserSession.objects.cleanup(
            batch_size=5, should_stop=lambda: seen.append(1) or len(seen) > calls
        )
    assert cleaned == CleanupResult(0, 0, False)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_rows_of_a_bulk_revoke_that_another_run_deletes_hide_no_others():
    revoked(UserFactory(), [timezone.now() - 2 * RETENTION] * 30)
    with another_run(0, batch_size=5, max_rows=10) as others:
        cleaned = UserSession.objects.cleanup(batch_size=5)
    assert others == [CleanupResult(0, 10, False)]
    assert cleaned == CleanupResult(0, 20, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("batch", range(4))
def test_rows_that_another_run_deletes_do_not_count_towards_max_rows(batch):
    """It is in the middle of a batch: before the last too many rows were planned to leave room for more."""
    user, now = UserFactory(), timezone.now()
    make(user, [now - DAY - number * TICK for number in range(30)])
    with another_run(batch, max_rows=3) as others, deletes() as sizes:
        cleaned = UserSession.objects.cleanup(batch_size=5, max_rows=18)
    assert others == [CleanupResult(3, 0, False)]
    assert cleaned == CleanupResult(18, 0, False)
    assert max(sizes) == 5
    assert len(left()) == 9


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_a_locked_bulk_revoke_holds_up_no_other_a_moment_later():
    user, at = UserFactory(), timezone.now() - 2 * RETENTION
    kept = revoked(user, [at] * 20)
    revoked(user, [at + TICK] * 20)
    with held(locking(*kept)):
        assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(0, 20, False)
    assert left() == set(kept)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_locked_table_does_not_hold_a_run_past_its_time(clock):
    UserSessionFactory(expired=True)
    with held(LOCK_ALL[connection.vendor]):
        assert UserSession.objects.cleanup(max_seconds=0.5) == CleanupResult(0, 0, False)
    assert 0.5 <= clock.now < 0.7
    assert UserSession.objects.cleanup() == CleanupResult(1, 0, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_a_run_that_sleeps_between_batches_does_not_sleep_where_it_finds_a_locked_table(clock):
    make(UserFactory(), [timezone.now() - DAY - number * TICK for number in range(20)])
    with ExitStack() as stack:

        def lock(done):
            stack.enter_context(held(LOCK_ALL[connection.vendor]))

        cleaned = UserSession.objects.cleanup(batch_size=5, sleep=60, progress=lock)
    assert cleaned == CleanupResult(5, 0, False)
    assert clock.now < 150


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_batches_behind_a_locked_one_are_as_small_as_the_others():
    rows = make(UserFactory(), [timezone.now() - DAY - number * TICK for number in range(40)])
    with held(locking(rows[35])), deletes() as sizes:
        assert UserSession.objects.cleanup(batch_size=3) == CleanupResult(39, 0, False)
    assert max(sizes) == 3


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
            assert UserSession.objects.cleanup(batch_size=5, max_seconds=300).total == 1
        finally:
            cursor.execute("DROP FUNCTION keep CASCADE")
    assert left() == set(kept)
    assert not left() & set(gone)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_a_table_that_is_locked_for_a_moment_is_cleared_in_the_end():
    user, now = UserFactory(), timezone.now()
    make(user, [now - DAY - number * TICK for number in range(20)])
    lock = held(LOCK_ALL[connection.vendor])
    with lock as let_go, when_met(let_go):
        assert UserSession.objects.cleanup(batch_size=6) == CleanupResult(20, 0, True)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_what_came_before_a_locked_row_is_counted_once():
    user, now = UserFactory(), timezone.now()
    rows = make(user, [now - DAY - number * TICK for number in range(40)])
    seen = []
    with held(locking(rows[10])):
        cleaned = UserSession.objects.cleanup(batch_size=3, progress=seen.append)
    assert cleaned == CleanupResult(39, 0, False)
    assert [done.expired for done in seen] == sorted({done.expired for done in seen})
    assert left() == {rows[10]}


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_a_locked_bulk_revoke_never_makes_max_rows_more_than_that(monkeypatch):
    user, now = UserFactory(), timezone.now()
    rows = revoked(user, [now - 2 * RETENTION] * 30)
    with held(locking(*rows[:12])):
        assert UserSession.objects.cleanup(batch_size=5, max_rows=17) == CleanupResult(0, 17, False)
    assert len(left()) == 13
    assert UserSession.objects.cleanup(batch_size=5, max_rows=12) == CleanupResult(0, 12, False)


@contextmanager
def another_run(after, **bounds):
    """Another connection cleans up before the DELETE after so many others. Collects the results."""
    found, sent = [], []

    def run():
        try:
            found.append(UserSession.objects.cleanup(**bounds))
        finally:
            connections.close_all()

    def cut_in(execute, sql, params, many, context):
        if sql.startswith("DELETE"):
            sent.append(sql)
            if len(sent) == after + 1:
                thread = threading.Thread(target=run)
                thread.start()
                thread.join(SECONDS)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(cut_in):
        yield found


@contextmanager
def soon(function, seen):
    """Another connection calls it on the server process of this one once something was `seen`, and again
    until the block ends: a statement cannot be cancelled between two."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    done = threading.Event()

    def run():
        try:
            while not done.wait(0.01):
                if seen:
                    with connection.cursor() as cursor:
                        cursor.execute(f"SELECT {function}({pid})")
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_who_ends_it_on_the_server_ends_it_and_all_that_went_is_told(function):
    user, now = UserFactory(), timezone.now()
    make(user, [now - DAY - number * TICK for number in range(1000)])
    seen = []
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(0.02); RETURN OLD; END $$;"
            "CREATE TRIGGER dawdle BEFORE DELETE ON sessions_ext_usersession"
            " FOR EACH ROW EXECUTE FUNCTION dawdle();"
        )
    try:
        with soon(function, seen), pytest.raises(OperationalError):
            UserSession.objects.cleanup(batch_size=1, progress=seen.append)
    finally:
        with connection.cursor() as cursor:  # a new one, if the server has ended the other
            cursor.execute("DROP FUNCTION dawdle CASCADE")
    assert seen
    assert 1_000 - len(left()) - seen[-1].expired in {0, 1}  # a commit that nobody heard of


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"server_side_binding": True, "prepare_threshold": 0},
        {"cursor_factory": getattr(connection.Database, "Cursor", None), "prepare_threshold": 0},
    ],
    ids=["not at all", "by Django's setting", "by a cursor of the project's own"],
)
def test_it_gives_way_where_every_statement_is_prepared(monkeypatch, options):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", connection.settings_dict["OPTIONS"] | options)
    connection.close()
    try:
        user, now = UserFactory(), timezone.now()
        rows = make(user, [now - DAY - number * TICK for number in range(20)])
        with held(locking(rows[10])):
            cleaned = UserSession.objects.cleanup(batch_size=3, max_rows=19)
        assert cleaned == CleanupResult(19, 0, False)
    finally:
        connection.close()
    assert left() == {rows[10]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.Database.__name__ != "psycopg", reason="psycopg 2 binds on the client")
@pytest.mark.parametrize(("cursor", "takes_several"), [("ClientCursor", True), ("Cursor", False)])
def test_a_batch_is_one_message_where_the_cursors_of_the_connection_take_several(cursor, takes_several):
    class Own(getattr(connection.Database, cursor)):
        """Of the project, for tracing; set when the connection is made."""

    def set_cursor(connection, **kwargs):
        connection.connection.cursor_factory = Own

    make(UserFactory(), [timezone.now() - DAY - number * TICK for number in range(13)])
    connection.close()
    connection_created.connect(set_cursor)
    try:
        with CaptureQueriesContext(connection) as queries, deletes() as sizes:
            cleaned = UserSession.objects.cleanup(batch_size=5, payloads=False)
    finally:
        connection_created.disconnect(set_cursor)
        connection.close()
    assert cleaned == CleanupResult(13, 0, True)
    assert sizes == [5, 5, 3, 0]
    if takes_several:
        # The end of the first batch; each batch with the end of the next; and the same of revoked rows.
        messages = ["SELECT", "DELETE SELECT", "DELETE SELECT", "DELETE", "SELECT", "DELETE"]
    else:
        messages = ["SELECT"] * 4 + ["DELETE"] * 4
    found = [" ".join(re.findall("SELECT|DELETE", query["sql"])) for query in queries]
    assert (found if takes_several else sorted(filter(None, found), reverse=True)) == messages


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("project")
def test_a_statement_that_may_not_last_is_an_error_and_no_lock():
    user, now = UserFactory(), timezone.now()
    rows = make(user, [now - DAY - number * TICK for number in range(20)])
    with held(locking(rows[10])), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            UserSession.objects.cleanup()
        connection.close()
    assert left() == set(rows)

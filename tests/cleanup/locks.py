"""Another transaction that holds rows."""

import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

WAITS_FOR_US = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


@contextmanager
def held(*statements, until_waited_for=False):
    """Another transaction that has run these, until the block ends or calls what it is given; or until
    somebody waits for it, on PostgreSQL."""
    begun, done, errors = threading.Event(), threading.Event(), []

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                begun.set()
                while not done.wait(0.01 if until_waited_for else 30):
                    cursor.execute(WAITS_FOR_US)
                    if cursor.fetchone():
                        break
        except Exception as error:
            errors.append(error)
        finally:
            begun.set()
            connection.close()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert begun.wait(30)
    try:
        yield done.set
    finally:
        done.set()
        thread.join(30)
    assert not errors


@contextmanager
def when_met(act):
    """Act when a statement of this connection has met a lock. SQLite waits for locks by itself: there, when
    a statement is about to."""

    def look(execute, sql, *arguments):
        if not connection.features.has_select_for_update and sql.startswith(("DELETE", "UPDATE")):
            act()
        try:
            return execute(sql, *arguments)
        except OperationalError:
            act()
            raise

    with connection.execute_wrapper(look):
        yield


def locking(*rows):
    ids = ", ".join(f"'{row.pk}'" for row in rows)
    return f"SELECT 1 FROM sessions_ext_usersession WHERE id IN ({ids}) FOR UPDATE"


on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has no locks of rows, nor such triggers"
)

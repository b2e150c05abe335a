"""Another transaction that holds rows."""

import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from tests.patience import SECONDS

WAITS_FOR_US = {
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))",
    "mysql": "SELECT 1 FROM information_schema.innodb_lock_waits JOIN information_schema.innodb_trx"
    " ON trx_id = blocking_trx_id WHERE trx_mysql_thread_id = connection_id()",
}
# Seconds between two looks. MariaDB shows the same again for a tenth of a second after each look.
PAUSE = {"postgresql": 0.01, "mysql": 0.2}
# Others can read the table, or not even that.
LOCK_WRITES = {
    "postgresql": "LOCK TABLE sessions_ext_usersession IN SHARE MODE",
    "mysql": "LOCK TABLES sessions_ext_usersession READ",
}
LOCK_ALL = {
    "postgresql": "LOCK TABLE sessions_ext_usersession IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES sessions_ext_usersession WRITE",
}


@contextmanager
def held(*statements, until_waited_for=False):
    """Another transaction that has run these, until the block ends or calls what it is given; or until
    somebody waits for it."""
    begun, done, errors = threading.Event(), threading.Event(), []

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                begun.set()
                while not done.wait(PAUSE[connection.vendor] if until_waited_for else SECONDS):
                    cursor.execute(WAITS_FOR_US[connection.vendor])
                    if cursor.fetchone():
                        break
        except Exception as error:
            errors.append(error)
        finally:
            begun.set()
            connection.close()

    def let_go():
        """The rows are free when it returns, so that whoever tries again does not come too early."""
        done.set()
        thread.join(SECONDS)
        assert not thread.is_alive()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert begun.wait(SECONDS)
    try:
        yield let_go
    finally:
        let_go()
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
    meta, ids = rows[0]._meta, ", ".join(f"'{row.pk}'" for row in rows)
    # By another index, MariaDB would lock each row of the table.
    by_key = "FORCE INDEX (PRIMARY)" if connection.vendor == "mysql" else ""
    return f"SELECT 1 FROM {meta.db_table} {by_key} WHERE {meta.pk.column} IN ({ids}) FOR UPDATE"


where_rows_are_locked = pytest.mark.skipif(
    not connection.features.has_select_for_update, reason="SQLite has one lock for all"
)
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="of PostgreSQL's settings, triggers or functions"
)

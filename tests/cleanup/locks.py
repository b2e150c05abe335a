"""Another transaction that holds rows."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction


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


on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has no locks of rows, nor such triggers"
)

"""Locks: in which order they are taken, and who gives way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, RawSQL
from django.db.models.lookups import Exact

# Of PostgreSQL: a lock is not available, a deadlock, and what repeatable reads end with.
GIVE_WAY = {"55P03", "40P01", "40001"}
# Of a transaction that deletes what has ended. Old statistics could otherwise make each batch read or
# sort the whole table. A row that comes back when the server crashes has ended still.
SETTINGS = {
    "lock_timeout": "50ms",
    "enable_sort": "off",
    "enable_seqscan": "off",
    "synchronous_commit": "off",
}
CURRENT = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
BRIEFLY = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in SETTINGS.items())
T = TypeVar("T")
Q = TypeVar("Q", bound=models.QuerySet[Any])


def in_lock_order(rows: Q) -> Q:
    """The same rows, for an update of many: PostgreSQL then locks them in the order of their
    ids, so that two statements over the same rows wait for each other and never deadlock."""
    rows._for_write = True  # type: ignore[attr-defined]
    connection = connections[rows.db]
    ids = rows.order_by("pk").values("pk")
    is_one = any(isinstance(part, Exact) and _is_key(part.lhs) for part in ids.query.where.children)
    is_lockable = not ids.query.distinct and ids.query.group_by is None
    if is_one or not is_lockable or not connection.features.has_select_for_no_key_update:
        return rows
    try:
        sql, params = ids.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return rows
    table = connection.ops.quote_name(rows.model._meta.db_table)
    locking = RawSQL(f"{sql} FOR NO KEY UPDATE OF {table}", params)  # noqa: S611
    everything: Q = rows.model._base_manager.using(rows.db)
    return everything.filter(pk__in=locking)


def _is_key(expression: Any) -> bool:
    return isinstance(expression, Col) and expression.target.primary_key


def try_briefly(act: Callable[[], T | Callable[[], T]], rows: models.QuerySet[Any]) -> T | None:
    """Run `act`, which finds, locks or deletes some of the rows, in a transaction of its own. On
    PostgreSQL it gives way when it meets a lock, and returns None: it lets go of its own long before
    the server looks for deadlocks, so that nobody else's statement can be the one that a deadlock
    ends. Where `act` returns a callable, that is the project's code, and is called without a limit."""
    connection = connections[rows.db]
    gives_way = has_own_transactions(connection)
    try:
        with transaction.atomic(using=rows.db), connection.cursor() as cursor:
            if gives_way:
                cursor.execute(f"SELECT {CURRENT}, {BRIEFLY}")
                before = cursor.fetchone()[: len(SETTINGS)]
            take_write_lock(rows)
            done = act()
            if not callable(done):
                return done
            if gives_way:
                gives_way = False
                restore = ", ".join(f"set_config('{name}', %s, true)" for name in SETTINGS)
                cursor.execute(f"SELECT {restore}", before)
            return done()
    except OperationalError as error:
        if not gives_way or not is_lock(error):
            raise
        return None


@contextmanager
def seeing_latest(using: str) -> Iterator[bool]:
    """A transaction in which each statement sees what has been committed before it, at whatever
    isolation level the connection works. Gives False where that cannot be: within a transaction that
    is repeatable, which sees what it saw at its beginning."""
    connection = connections[using]
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=using):
        if connection.vendor != "postgresql":
            yield True
            return
        with connection.cursor() as cursor:
            if is_outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                level = "read committed"
            else:
                cursor.execute("SHOW transaction_isolation")
                (level,) = cursor.fetchone()
        yield level == "read committed"


def has_own_transactions(connection: BaseDatabaseWrapper) -> bool:
    """Whether this is PostgreSQL, and nobody has a transaction open that we would commit or set up."""
    return connection.vendor == "postgresql" and connection.get_autocommit()


def is_lock(error: DatabaseError) -> bool:
    """Whether a statement that gives way ended with this error because it met a lock."""
    return getattr(error.__cause__, "sqlstate", None) in GIVE_WAY


def take_write_lock(rows: models.QuerySet[Any]) -> None:
    """Begin a transaction that is to write, on SQLite: one that reads first may find that it cannot
    write any more. Changes nothing; elsewhere rows have locks of their own."""
    if not connections[rows.db].features.has_select_for_update:
        rows.model._base_manager.using(rows.db).filter(pk=UUID(int=0)).update(is_trusted=False)


def locked(rows: Q, skip_locked: bool = False) -> Q:
    """The same rows, unable to change until the transaction ends; without those that another
    transaction has locked, if they are to be skipped."""
    if not connections[rows.db].features.has_select_for_update:
        return rows
    ids = rows.select_for_update(of=("self",), skip_locked=skip_locked).values_list("pk", flat=True)
    return rows.filter(pk__in=list(ids))

"""Locks: in which order they are taken, and who gives way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import Error, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from .errors import is_about_locks
from .keys import is_one
from .mariadb import PRIMARY, not_waiting, reading_by
from .owners import everything_like

# PostgreSQL's settings for a transaction that deletes ended rows. With outdated statistics the planner
# might read or sort the whole table for each batch. The commit need not wait for the disk: a row that a
# crash brings back has still ended.
BRIEFLY = {
    "lock_timeout": "50ms",
    "enable_sort": "off",
    "enable_seqscan": "off",
    "synchronous_commit": "off",
}
# Without it, Citus passes no SET LOCAL on to its workers. Elsewhere it is a name without a meaning.
PASSED_ON = {"citus.propagate_set_commands": "local"}
READ_COMMITTED = "read committed"
MAX_KEYS = 5000  # in one statement
T = TypeVar("T")
Q = TypeVar("Q", bound=models.QuerySet[Any])


def in_lock_order(rows: Q) -> Q:
    """The same rows, made ready for an UPDATE of several: PostgreSQL locks them in the order of their
    ids. Two such statements over the same rows then wait for each other and never deadlock."""
    rows._for_write = True  # type: ignore[attr-defined]
    connection = connections[rows.db]
    ids = rows.order_by("pk").values("pk")
    is_lockable = not ids.query.distinct and ids.query.group_by is None
    if is_one(rows) or not is_lockable or not connection.features.has_select_for_no_key_update:
        return rows
    try:
        sql, params = ids.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return rows
    table = connection.ops.quote_name(rows.model._meta.db_table)
    locking = RawSQL(f"{sql} FOR NO KEY UPDATE OF {table}", params)  # noqa: S611
    return everything_like(rows).filter(pk__in=locking)


def try_briefly(act: Callable[[], T], using: str) -> T | None:
    """Run `act` in a transaction of its own, and return its result. Where rows can be locked it gives
    way to a lock: it then does nothing and returns None. It gives way long before the server looks for
    deadlocks, so that the server never ends somebody else's statement because of ours."""
    connection = connections[using]
    gives_way = _has_own_transactions(connection)

    def act_in_one() -> T:
        with transaction.atomic(using=using), _not_waiting(connection) if gives_way else nullcontext():
            return act()

    return _unless_locked(act_in_one, gives_way)


def each_briefly(act: Callable[[], T], using: str) -> T | None:
    """As try_briefly() does, but each statement of `act` in a transaction of its own, for which one round
    trip to the server is enough. It gives way at the first that meets a lock."""
    connection = connections[using]
    if not _has_own_transactions(connection) or not _takes_several(connection):
        return try_briefly(act, using)
    try:
        with _each_not_waiting(connection):
            return _unless_locked(act)
    except Error:
        connection.close_if_unusable_or_obsolete()  # as the end of a transaction does
        raise


@contextmanager
def seeing_latest(using: str, savepoint: bool = True) -> Iterator[bool]:
    """A transaction in which each statement sees what was committed before it, whatever the
    connection's isolation level. Yields False where that is impossible: inside a transaction at
    repeatable read or above, which keeps seeing what it saw at its start."""
    connection = connections[using]
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=using, savepoint=savepoint):
        # MySQL's wrapper knows its level: Django's default is read committed, whatever the server's.
        known = getattr(connection, "isolation_level", None) if connection.vendor == "mysql" else None
        if not connection.features.has_select_for_update or known == READ_COMMITTED:
            yield True
            return
        ask = "SHOW transaction_isolation" if connection.vendor == "postgresql" else "SELECT @@tx_isolation"
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {READ_COMMITTED}" if is_outermost else ask)
            level = READ_COMMITTED if is_outermost else cursor.fetchone()[0]
        yield level.replace("-", " ").lower() == READ_COMMITTED


def lock_briefly(lock: Callable[[], Q], using: str, act: Callable[[Q], T]) -> T | None:
    """Find and lock rows as try_briefly() does, then run `act` on them in the same transaction. `act`
    calls the project's receivers, so it runs under the connection's own settings."""
    connection = connections[using]
    gives_way = _has_own_transactions(connection)
    with transaction.atomic(using=using):
        if not gives_way:
            return act(lock())
        before = _settings(connection)
        try:
            with _not_waiting(connection):
                rows = lock()
        except OperationalError as error:
            if not is_about_locks(error):
                raise
            transaction.set_rollback(True, using=using)
            return None
        _set_local(connection, before)
        return act(rows)


def sends_several(connection: Any) -> bool:
    """Whether each_briefly() could send several statements as one, and has the result of each: psycopg 2
    keeps the last."""
    return _has_own_transactions(connection) and _is_psycopg_3(connection) and _takes_several(connection)


def _has_own_transactions(connection: BaseDatabaseWrapper) -> bool:
    """Whether rows can be locked here and no transaction is open, so that the one we begin is ours to
    configure."""
    return connection.features.has_select_for_update and connection.get_autocommit()


def _unless_locked(act: Callable[[], T], gives_way: bool = True) -> T | None:
    try:
        return act()
    except OperationalError as error:
        if not gives_way or not is_about_locks(error):
            raise
        return None


@contextmanager
def _not_waiting(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let a statement that meets a lock fail soon: on PostgreSQL until the transaction ends."""
    _set_local(connection, PASSED_ON | BRIEFLY)
    with not_waiting(connection.alias):
        yield


@contextmanager
def _each_not_waiting(connection: Any) -> Iterator[None]:
    """The same for each statement, outside of a transaction."""

    def with_settings(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        result = execute("; ".join([*settings, sql]), *arguments)
        # psycopg 3 shows the result of the first statement, psycopg 2 that of the last.
        for _ in settings if _is_psycopg_3(connection) else ():
            arguments[-1]["cursor"].nextset()
        return result

    settings = _set_statements(PASSED_ON | BRIEFLY)
    has_settings = connection.vendor == "postgresql"
    wrapper = connection.execute_wrapper(with_settings) if has_settings else nullcontext()
    with wrapper, not_waiting(connection.alias):
        yield


def _takes_several(connection: Any) -> bool:
    """Whether several statements can be sent as one: where the client binds the parameters, as psycopg 3's
    ClientCursor and all cursors of psycopg 2 do. The server takes one at a time."""
    connection.ensure_connection()
    driver, live = connection.Database, connection.connection
    return not _is_psycopg_3(connection) or issubclass(live.cursor_factory, driver.ClientCursor)


def _is_psycopg_3(connection: Any) -> bool:
    return bool(connection.Database.__name__ == "psycopg")


def _set_statements(values: dict[str, str]) -> list[str]:
    # SET LOCAL and not set_config(): Citus passes only the former on (its ShouldPropagateSetCommand).
    return [f"SET LOCAL {name} = '{value}'" for name, value in values.items()]


def _settings(connection: BaseDatabaseWrapper) -> dict[str, str]:
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in BRIEFLY))
        return dict(zip(BRIEFLY, cursor.fetchone(), strict=True))


def _set_local(connection: BaseDatabaseWrapper, values: dict[str, str]) -> None:
    if connection.vendor != "postgresql":
        return
    statements = _set_statements(values)
    if _takes_several(connection):
        statements = ["; ".join(statements)]  # one round trip
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def take_write_lock(rows: models.QuerySet[Any]) -> None:
    """Take SQLite's write lock at the start of a transaction: one that reads first may be refused when
    it writes later. Changes no row. Does nothing on databases that lock single rows."""
    connection = connections[rows.db]
    if connection.features.has_select_for_update:
        return
    table, key = map(connection.ops.quote_name, (rows.model._meta.db_table, rows.model._meta.pk.column))
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {key} = {key} WHERE 0 = 1")  # noqa: S608


def locked(rows: Q, skip_locked: bool = False) -> Q:
    """Lock the rows until the transaction ends, and return a queryset of them. With `skip_locked` it
    leaves out rows that another transaction has locked."""
    if not connections[rows.db].features.has_select_for_update:
        take_write_lock(rows)
        return rows
    keys = [key for key, *_ in locked_values(rows, skip_locked=skip_locked)]
    return everything_like(rows).filter(pk__in=keys)


def locked_values(rows: models.QuerySet[Any], *columns: str, skip_locked: bool = False) -> list[Any]:
    """Lock the rows as locked() does, in the order of their primary keys, and return these and the named
    columns."""
    features = connections[rows.db].features
    rows = rows.order_by("pk")
    if not features.has_select_for_update:
        take_write_lock(rows)
        return list(rows.values_list("pk", *columns))
    skip_locked = skip_locked and features.has_select_for_update_skip_locked
    if not locks_what_it_reads(rows.db) or is_one(rows):
        of = ("self",) if features.has_select_for_update_of else ()
        return list(rows.select_for_update(of=of, skip_locked=skip_locked).values_list("pk", *columns))
    # Look for the rows without a lock, and then lock them alone. Other tables do not belong to the lock.
    found = list(rows.values_list("pk", flat=True))
    query = rows.query
    tables = sum(map(bool, query.alias_refcount.values()))
    is_alone = tables == 1 and not query.distinct and query.group_by is None
    values: list[Any] = []
    for start in range(0, len(found), MAX_KEYS):
        keys = found[start : start + MAX_KEYS]
        these = (rows if is_alone else everything_like(rows).order_by("pk")).filter(pk__in=keys)
        values += reading_by(PRIMARY, these.select_for_update(skip_locked=skip_locked)).values_list(
            "pk", *columns
        )
        if not is_alone:
            locked_keys = [key for key, *_ in values[start:]]
            values[start:] = rows.filter(pk__in=locked_keys).values_list("pk", *columns)
    return values


def locks_what_it_reads(using: str) -> bool:
    """Whether an UPDATE or a locking read locks all that it reads on its way, in the order in which it reads.
    Of those that lock rows only PostgreSQL does not."""
    features = connections[using].features
    return features.has_select_for_update and not features.has_select_for_no_key_update

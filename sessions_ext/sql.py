"""The SQL that Django's ORM has no words for, on PostgreSQL and SQLite."""

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, RawSQL
from django.db.models.lookups import Exact
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

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


def update_returning(rows: models.QuerySet[Any], *columns: str, **values: Any) -> list[Any]:
    """rows.update(**values), in one statement with the named columns of the rows it changed. So
    two calls that race each learn of exactly the rows that they changed themselves."""
    if rows.query.distinct_fields:
        raise TypeError("Cannot update a query after .distinct(*fields).")
    rows._for_write = True  # type: ignore[attr-defined]
    connection = connections[rows.db]
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    query.clear_ordering(force=True)
    compiler = query.get_compiler(rows.db)
    fields: list[Any] = [rows.model._meta.get_field(name) for name in columns]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    with transaction.mark_for_rollback_on_error(using=rows.db):
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            return []
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} RETURNING {names}", params)
            returned = cursor.fetchall()
    converters = compiler.get_converters([field.get_col(rows.model._meta.db_table) for field in fields])
    return list(compiler.apply_converters(returned, converters))


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


class AppendMissing(models.Func):
    """A JSON list with a text appended to it unless it is there already."""

    output_field = models.JSONField()
    arity = 2

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        item = f"to_jsonb({text}::text)"
        sql = f"CASE WHEN {items} @> {item} THEN {items} ELSE {items} || {item} END"
        return sql, [*params, *params]

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        has_it = f"{text} IN (SELECT value FROM json_each({items}))"  # noqa: S608
        sql = f"CASE WHEN {has_it} THEN {items} ELSE json_insert({items}, '$[#]', {text}) END"
        return sql, [*params, *params]


def count_or_estimate(rows: models.QuerySet[Any], bound: int) -> tuple[int, bool]:
    """How many rows there are, and whether that is an estimate: on PostgreSQL, of more than
    `bound` rows, it is the planner's. Counts no more than that, in one or two statements."""
    rows = rows.order_by()
    if connections[rows.db].vendor != "postgresql":
        return rows.count(), False
    count = rows[: bound + 1].count()
    if count <= bound:
        return count, False
    (plan,) = json.loads(rows.explain(format="json"))
    return max(int(plan["Plan"]["Plan Rows"]), count), True


class IsWithin(models.Func):
    """Whether an address lies in a network, which is given as text."""

    output_field = models.BooleanField()
    arity = 2
    template = "%(expressions)s"
    arg_joiner = " <<= "

    def __init__(self, column: str, network: str) -> None:
        super().__init__(column, models.Value(network))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        sql, params = super().as_sql(compiler, connection, **context)
        return f"{sql}::inet", params

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        connection.ensure_connection()
        connection.connection.create_function("sessions_ext_is_within", 2, _is_within, deterministic=True)
        return super().as_sql(
            compiler, connection, template="sessions_ext_is_within(%(expressions)s)", arg_joiner=", "
        )


def _is_within(address: str | None, network: str) -> bool:
    return address is not None and ip_address(address) in ip_network(network)

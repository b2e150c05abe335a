"""The SQL that Django's ORM has no words for, on PostgreSQL and SQLite."""

from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, RawSQL
from django.db.models.lookups import Exact
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

LOCK_NOT_AVAILABLE = "55P03"  # of PostgreSQL

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


def delete_giving_way(rows: models.QuerySet[Any]) -> int:
    """rows.delete(), and how many of these rows that were. On PostgreSQL it gives way when it
    meets a lock: it lets go of its own long before the server looks for deadlocks, and tries
    again, so that nobody else's statement can be the one that a deadlock ends."""
    connection = connections[rows.db]
    gives_way = connection.vendor == "postgresql" and not connection.in_atomic_block
    while True:
        try:
            with transaction.atomic(using=rows.db):
                if gives_way:
                    with connection.cursor() as cursor:
                        cursor.execute("SET LOCAL lock_timeout = '200ms'")
                return rows.delete()[1].get(rows.model._meta.label, 0)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise


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

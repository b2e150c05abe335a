"""What MariaDB and MySQL have to be told, which lock what they read: by which index to go. Left alone they
may read a small table as a whole, or go by an index of the other columns, and then wait for rows that are
not meant. On other databases these functions change nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.lookups import Exact, In
from django.db.models.sql.datastructures import BaseTable

from .keys import names_keys

PRIMARY = "PRIMARY"
# Wait for no lock of a table, or of a row. With the latter, SKIP LOCKED fails.
NO_TABLE, NO_ROW = "lock_wait_timeout = 0", "innodb_lock_wait_timeout = 0"
Q = TypeVar("Q", bound=models.QuerySet[Any])


def reading_by(index: str, rows: Q) -> Q:
    """The same rows, for a SELECT that goes by an index."""
    rows = rows.all()
    if connections[rows.db].vendor == "mysql" and index:
        alias = rows.query.get_initial_alias()
        table = _HintedTable(rows.model._meta.db_table, alias)
        table.index = index
        rows.query.alias_map = {**rows.query.alias_map, alias: table}
    return rows


def updating_by_key(rows: models.QuerySet[Any], sql: str) -> str:
    """The SQL of an UPDATE that goes by the primary key, where its conditions name one or several."""
    table = _table(rows.model, rows.db)
    if connections[rows.db].vendor != "mysql" or not names_keys(rows, Exact, In):
        return sql
    return sql.replace(f"{table} SET ", f"{table} FORCE INDEX ({PRIMARY}) SET ", 1)


def deleting_by(index: str, rows: models.QuerySet[Any], sql: str) -> str:
    """The SQL of a DELETE that goes by an index. MariaDB takes hints where a second table is read."""
    table = _table(rows.model, rows.db)
    if connections[rows.db].vendor != "mysql" or not index:
        return sql
    hinted = f"DELETE {table} FROM {table} FORCE INDEX ({index}) JOIN (SELECT 1) AS one WHERE "
    return sql.replace(f"DELETE FROM {table} WHERE ", hinted, 1)  # noqa: S608


@contextmanager
def deleting_by_key(model: type[models.Model], using: str) -> Iterator[None]:
    """Let Django's own delete() go by the primary key where it names rows by theirs. With a long list of
    keys MariaDB would rather read a small table, whatever the hint."""
    table, key = _table(model, using), connections[using].ops.quote_name(str(model._meta.pk.column))
    start = f"DELETE FROM {table} WHERE {table}.{key} IN ("  # noqa: S608

    def one_by_one(execute: Callable[..., Any], sql: str, keys: Any, *arguments: Any) -> Any:
        before, found, _ = sql.partition(start)
        if found:
            named = "SELECT %s AS named" + " UNION ALL SELECT %s" * (len(keys) - 1)
            sql = (
                f"{before}DELETE {table} FROM ({named}) AS named"
                f" STRAIGHT_JOIN {table} FORCE INDEX ({PRIMARY}) ON {table}.{key} = named.named"
            )
        return execute(sql, keys, *arguments)

    if connections[using].vendor != "mysql":
        yield
        return
    with connections[using].execute_wrapper(one_by_one):
        yield


@contextmanager
def not_waiting(using: str) -> Iterator[None]:
    """Let a statement that meets a lock fail at once. MySQL has no such setting for one statement."""

    def at_once(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        limits = NO_TABLE if sql.endswith("SKIP LOCKED") else f"{NO_TABLE}, {NO_ROW}"
        return execute(f"SET STATEMENT {limits} FOR {sql}", *arguments)

    if not is_mariadb(using):
        yield
        return
    with connections[using].execute_wrapper(at_once):
        yield


def is_mariadb(using: str) -> bool:
    return bool(getattr(connections[using], "mysql_is_mariadb", False))


def planned_rows(plan: Any) -> float:
    """How many rows a plan expects, that of EXPLAIN FORMAT=JSON: for each table that is joined, its rows and
    the share that meets the conditions, in percent."""
    if isinstance(plan, dict) and "filtered" in plan:
        return float(plan.get("rows", 1) * plan["filtered"] / 100)
    parts = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    return prod(map(planned_rows, parts))


class _HintedTable(BaseTable):
    index: str

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, params = super().as_sql(compiler, connection)
        return f"{sql} FORCE INDEX ({self.index})", params


def _table(model: type[models.Model], using: str) -> str:
    return connections[using].ops.quote_name(model._meta.db_table)

"""By which index MariaDB and MySQL go. Left alone they may read a small table as a whole, or go by an index of
the other columns: they then lock what they read, and wait for rows that are not meant. Other databases lock
rows alone, and nothing is changed for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In
from django.db.models.sql.datastructures import BaseTable

from .owners import conditions

PRIMARY = "PRIMARY"
Q = TypeVar("Q", bound=models.QuerySet[Any])


def is_one(rows: models.QuerySet[Any]) -> bool:
    """Whether the conditions name the primary key of one row."""
    return _names_keys(rows, Exact)


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
    if connections[rows.db].vendor != "mysql" or not _names_keys(rows, (Exact, In)):
        return sql
    return sql.replace(f"UPDATE {table} SET ", f"UPDATE {table} FORCE INDEX ({PRIMARY}) SET ", 1)


def deleting_by(index: str, rows: models.QuerySet[Any], sql: str) -> str:
    """The SQL of a DELETE that goes by an index. MariaDB takes hints where a second table is read."""
    table = _table(rows.model, rows.db)
    if connections[rows.db].vendor != "mysql" or not index:
        return sql
    hinted = f"DELETE {table} FROM {table} FORCE INDEX ({index}) JOIN (SELECT 1) AS one WHERE "
    return sql.replace(f"DELETE FROM {table} WHERE ", hinted, 1)


@contextmanager
def deleting_by_key(model: type[models.Model], using: str) -> Iterator[None]:
    """Let Django's own delete() go by the primary key where it names rows by theirs. For a DELETE with a long
    list of keys MariaDB would rather read a small table, whatever the hint."""
    table, key = _table(model, using), connections[using].ops.quote_name(model._meta.pk.column)
    start = f"DELETE FROM {table} WHERE {table}.{key} IN ("

    def one_by_one(execute: Callable[..., Any], sql: str, keys: Any, *arguments: Any) -> Any:
        before, found, _ = sql.partition(start)
        if found:
            named = "SELECT %s AS named" + " UNION ALL SELECT %s" * (len(keys) - 1)
            sql = (
                f"{before}DELETE {table} FROM ({named}) AS named STRAIGHT_JOIN {table} FORCE INDEX ({PRIMARY})"  # noqa: S608
                f" ON {table}.{key} = named.named"
            )
        return execute(sql, keys, *arguments)

    if connections[using].vendor != "mysql":
        yield
        return
    with connections[using].execute_wrapper(one_by_one):
        yield


class _HintedTable(BaseTable):
    index: str

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, params = super().as_sql(compiler, connection)
        return f"{sql} FORCE INDEX ({self.index})", params


def _table(model: type[models.Model], using: str) -> str:
    return connections[using].ops.quote_name(model._meta.db_table)


def _names_keys(rows: models.QuerySet[Any], lookups: Any) -> bool:
    return any(
        isinstance(each, lookups) and isinstance(each.lhs, Col) and each.lhs.target.primary_key
        for each in conditions(rows)
    )

"""Who owns the rows that a statement is about. On a table that is distributed by owner (Citus), a statement
that names one runs on one shard, and only such a statement may lock rows (SELECT … FOR UPDATE): see
"Cross-Node SQL Queries" in Citus's page "SQL Support and Workarounds"."""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.sql.where import AND

from .conditions import conditions

Q = TypeVar("Q", bound=models.QuerySet[Any])


def everything_like(rows: Q) -> Q:
    """A queryset of the same kind, without conditions but those on an owner: `foreign key = value`."""
    everything = rows.__class__(rows.model, using=rows.db)
    everything.query.get_initial_alias()
    for condition in _owners(rows):
        everything.query.where.add(condition, AND)
    return everything


def is_distributed(table: str, using: str) -> bool:
    """Whether Citus has spread this table over its nodes, or copied it to them. One or two queries."""
    if connections[using].vendor != "postgresql":
        return False
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_dist_partition') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return False
        quoted = connections[using].ops.quote_name(table)
        cursor.execute("SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass(%s)", [quoted])
        return cursor.fetchone() is not None


def one_by_one(rows: Q, column: str) -> list[Q]:
    """The rows of one owner after the other, in the order of the values of `column`. One query, or none where
    the conditions name the value."""
    if any(condition.lhs.target.attname == column for condition in _owners(rows)):
        return [rows]
    owners = rows.order_by(column).values_list(column, flat=True).distinct()
    return [rows.filter(**{column: owner}) for owner in owners]


def _owners(rows: models.QuerySet[Any]) -> Iterator[Any]:
    table = rows.model._meta.db_table
    for condition in conditions(rows):
        column = condition.lhs if isinstance(condition, Exact) else None
        if isinstance(column, Col) and column.alias == table and column.target.remote_field:
            yield condition

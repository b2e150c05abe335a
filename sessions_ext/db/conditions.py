"""The conditions of a queryset."""

from collections.abc import Iterator
from copy import copy
from typing import Any, TypeVar

from django.db import models
from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

Q = TypeVar("Q", bound=models.QuerySet[Any])


def conditions(rows: models.QuerySet[Any]) -> Iterator[Any]:
    """What holds of each of the rows: the conditions that are joined by AND."""

    def parts(node: WhereNode) -> Iterator[Any]:
        if node.connector == AND and not node.negated:
            for part in node.children:
                yield from parts(part) if isinstance(part, WhereNode) else [part]

    return parts(rows.query.where)


def by_no_index(condition: models.Q) -> models.Case:
    """The same condition in a form that no index serves, for rows that are found by a key. By outdated
    statistics PostgreSQL would take the index of all active rows for a shorter way to the one."""
    true, false = models.Value(True), models.Value(False)
    return models.Case(models.When(condition, then=true), default=false, output_field=models.BooleanField())


def on_other_column(rows: Q, name: str, other: str) -> Q | None:
    """The queryset with each condition on the field `name` put on the field `other`, and all else as it
    is; None if it has no such condition. Both refer to the same model."""
    fields = rows.model._meta.get_field
    moved: Q = rows.all()
    where = _moved(moved.query.where, fields(name), fields(other))
    if where is None:
        return None
    moved.query.where = where
    return moved


def _moved(node: Any, field: Any, other: Any) -> Any:
    if isinstance(node, WhereNode):
        children = [(child, _moved(child, field, other)) for child in node.children]
        if all(moved is None for _, moved in children):
            return None
        made = copy(node)
        made.children = [child if moved is None else moved for child, moved in children]
        return made
    lhs = getattr(node, "lhs", None)
    if not isinstance(lhs, Col) or lhs.target != field:
        return None
    made = copy(node)
    made.lhs = other.get_col(lhs.alias)
    return made

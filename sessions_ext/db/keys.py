"""Whether the conditions of a queryset name its rows by their primary keys."""

from typing import Any

from django.db import models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, Lookup
from django.db.models.sql.where import AND, WhereNode


def is_one(rows: models.QuerySet[Any]) -> bool:
    """Whether it is one row at most."""
    return names_keys(rows, Exact)


def names_keys(rows: models.QuerySet[Any], *lookups: "type[Lookup[Any]]") -> bool:
    """Whether each row has to meet one of these lookups of its primary key."""

    def is_named(part: Any) -> bool:
        if isinstance(part, WhereNode):
            return part.connector == AND and not part.negated and any(map(is_named, part.children))
        return isinstance(part, lookups) and isinstance(part.lhs, Col) and bool(part.lhs.target.primary_key)

    return is_named(rows.query.where)

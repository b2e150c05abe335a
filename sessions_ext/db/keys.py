"""Whether the conditions of a queryset name its rows by their primary keys."""

from typing import Any

from django.db import models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, Lookup

from .conditions import conditions


def is_one(rows: models.QuerySet[Any]) -> bool:
    """Whether it is one row at most."""
    return names_keys(rows, Exact)


def names_keys(rows: models.QuerySet[Any], *lookups: "type[Lookup[Any]]") -> bool:
    """Whether each row has to meet one of these lookups of its primary key."""
    return any(
        isinstance(each, lookups) and isinstance(each.lhs, Col) and bool(each.lhs.target.primary_key)
        for each in conditions(rows)
    )

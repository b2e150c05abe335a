"""Ranges of rows along an index over a time and, where the index ends in it, the primary key. The key makes
each place unique. Without it, rows of the same time are one place."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BooleanField, F, Field, Func, Q, QuerySet

from .mariadb import reading_by
from .prepared import Parameter, Prepared, delete, select

COMPARE_ROWS = ("postgresql", "sqlite")
Place = tuple[Any, ...]  # a row's values of the index's columns


class Range(NamedTuple):
    """The rows after `low`, up to and including `high`. None is an open end."""

    low: Place | None = None
    high: Place | None = None


class Ranges:
    """Reads and deletes the rows of a queryset range by range, in the order of the columns `order`, in which
    an index holds them: that of the name `index`, if given."""

    def __init__(self, rows: QuerySet[Any], order: tuple[str, ...], index: str = "") -> None:
        self.rows = rows
        self.order = order
        self.index = index
        self._statements: dict[tuple[Any, ...], Prepared] = {}

    def within(self, part: Range) -> QuerySet[Any]:
        return self._between(part.low, part.high)

    def places(self, part: Range, steps: list[int]) -> list[Place]:
        """Walk through the range in steps, and return the place of the row where each step ends:
        steps[0] rows into the range, then steps[1] rows further on, and so on while there are rows. One
        query a step."""
        found: list[Place] = []
        low = part.low
        for step in steps:
            row = self._row(Range(low, part.high), step)
            if row is None:
                break
            low = tuple(row)
            found.append(low)
        return found

    def delete(self, part: Range) -> int:
        """Delete the rows of the range, and return how many there were. One statement. It calls no
        receiver and follows no foreign key."""
        statement = self._statement(part, "delete", lambda rows: delete(rows, self.index))
        return statement.change(self.rows.db, self._values(part))

    def _row(self, part: Range, step: int) -> list[Any] | None:
        def write(rows: QuerySet[Any]) -> Prepared:
            places = reading_by(self.index, rows.order_by(*self.order)).values_list(*self.order)
            return select(places[step - 1 : step])

        return self._statement(part, step, write).row(self.rows.db, self._values(part))

    def _statement(self, part: Range, name: Any, write: Callable[[QuerySet[Any]], Prepared]) -> Prepared:
        # Written once: the ORM takes longer to write it than the server takes to find a place.
        key = (name, part.low is None, part.high is None)
        if key not in self._statements:
            low, high = (place and self._parameters(end) for end, place in part._asdict().items())
            self._statements[key] = write(self._between(low, high))
        return self._statements[key]

    def _parameters(self, end: str) -> Place:
        return tuple(Parameter(f"{end} {name}", self.rows.model._meta.get_field(name)) for name in self.order)

    def _values(self, part: Range) -> dict[str, Any]:
        return {
            f"{end} {name}": value
            for end, place in part._asdict().items()
            for name, value in zip(self.order, place or (), strict=False)
        }

    def _between(self, low: Place | None, high: Place | None) -> QuerySet[Any]:
        compare = _compare if connections[self.rows.db].vendor in COMPARE_ROWS else _compare_each
        bounds = [compare(self.order, sign, place) for sign, place in ((">", low), ("<=", high)) if place]
        return self.rows.filter(*bounds)


def _compare(order: tuple[str, ...], sign: str, place: Place) -> Func:
    """(time, key) > (…, …): the form for which PostgreSQL and SQLite use the index."""
    sides = _row(*map(F, order)), _row(*place)
    return Func(*sides, template="%(expressions)s", arg_joiner=f" {sign} ", output_field=BooleanField())


def _row(*values: Any) -> Func:
    return Func(*values, template="(%(expressions)s)", output_field=Field())


def _compare_each(order: tuple[str, ...], sign: str, place: Place) -> Q:
    """The same in the form for which MariaDB uses the index."""
    strictly, last = ("gt", "gt") if sign == ">" else ("lt", "lte")
    if len(order) == 1:
        return Q(**{f"{order[0]}__{last}": place[0]})
    (time, key), (at, pk) = order, place
    return Q(**{f"{time}__{strictly}": at}) | Q(**{time: at, f"{key}__{last}": pk})

"""Ranges of rows along an index over a time and, where the index ends in it, the primary key. The key makes
each place unique. Without it, rows of the same time are one place."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BooleanField, F, Field, Func, Q, QuerySet

from .locks import sends_several
from .mariadb import reading_by
from .prepared import Parameter, Prepared, both, delete, select

COMPARE_ROWS = ("postgresql", "sqlite")
Place = tuple[Any, ...]  # a row's values of the index's columns
Ends = dict[str, Place | None]


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

    def place(self, part: Range, step: int) -> list[Place]:
        """The place of the row that is `step` rows into the range; none if the range ends before it. One
        query."""
        ends = part._asdict()
        statement = self._statement(("place", step), ends, partial(self._place, step))
        return _found(statement.row(self.rows.db, self._values(ends)))

    def delete(self, part: Range, last: Place | None, step: int) -> tuple[int, list[Place] | None]:
        """Delete the rows of the range, and return how many there were. It calls no receiver and follows no
        foreign key. Where one message can hold two statements, return as well the place `step` rows further
        on, up to `last`, as place() does; elsewhere, or at step 0, None."""
        using, ends = self.rows.db, part._asdict()
        if step < 1 or not sends_several(connections[using]):
            statement = self._statement("delete", ends, self._delete)
            return statement.change(using, self._values(ends)), None

        def write(low: Place | None, high: Place | None, last: Place | None) -> Prepared:
            return both(self._delete(low, high), self._place(step, high, last))

        ends["last"] = last
        deleted, row = self._statement(("both", step), ends, write).change_and_row(using, self._values(ends))
        return deleted, _found(row)

    def _place(self, step: int, low: Place | None, high: Place | None) -> Prepared:
        rows = reading_by(self.index, self._between(low, high).order_by(*self.order))
        return select(rows.values_list(*self.order)[step - 1 : step])

    def _delete(self, low: Place | None, high: Place | None) -> Prepared:
        return delete(self._between(low, high), self.index)

    def _statement(self, name: Any, ends: Ends, write: Callable[..., Prepared]) -> Prepared:
        # Written once: the ORM takes longer to write it than the server takes to find a place.
        key = (name, *(place is None for place in ends.values()))
        if key not in self._statements:
            self._statements[key] = write(*(place and self._parameters(end) for end, place in ends.items()))
        return self._statements[key]

    def _parameters(self, end: str) -> Place:
        return tuple(Parameter(f"{end} {name}", self.rows.model._meta.get_field(name)) for name in self.order)

    def _values(self, ends: Ends) -> dict[str, Any]:
        return {
            f"{end} {name}": value
            for end, place in ends.items()
            for name, value in zip(self.order, place or (), strict=False)
        }

    def _between(self, low: Place | None, high: Place | None) -> QuerySet[Any]:
        compare = _compare if connections[self.rows.db].vendor in COMPARE_ROWS else _compare_each
        bounds = [compare(self.order, sign, place) for sign, place in ((">", low), ("<=", high)) if place]
        return self.rows.filter(*bounds)


def _found(row: list[Any] | None) -> list[Place]:
    return [] if row is None else [tuple(row)]


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

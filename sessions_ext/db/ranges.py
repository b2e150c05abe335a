"""Ranges of rows along an index over a time, in the order of this time and the primary key, which makes each
place unique."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BooleanField, F, Field, Func, Q, QuerySet, Value

from .locks import sends_several
from .mariadb import reading_by
from .prepared import Parameter, Prepared, both, delete, select

COMPARE_ROWS = ("postgresql", "sqlite")
Place = tuple[Any, ...]  # a row's time and key; without the key, all rows of that time


class Range(NamedTuple):
    """The rows after `low`, up to and including `high`. None is an open end."""

    low: Place | None = None
    high: Place | None = None


class Ranges:
    """Reads and deletes the rows of a queryset range by range, along an index over the columns `held`: a time
    and, where the index holds it, the primary key. `index` is its name, for databases that have to be
    told."""

    def __init__(self, rows: QuerySet[Any], held: tuple[str, ...], index: str = "") -> None:
        self.rows = rows
        self.held = held
        self.order = (held[0], rows.model._meta.pk.attname)
        self.fields: list[Any] = [rows.model._meta.get_field(name) for name in self.order]
        self.index = index
        self._statements: dict[tuple[Any, ...], Prepared] = {}

    def within(self, part: Range) -> QuerySet[Any]:
        return self._between(part.low, part.high)

    def place(self, part: Range, step: int) -> list[Place]:
        """The place of the row that is `step` rows into the range; none if the range ends before it. One
        query; two where the index does not hold the key, and the next row has the same time."""
        found = self._end(self._read(part, step, self.held), part.high)
        return self._read(part, step, self.order) if found is None else found

    def delete(self, part: Range, step: int) -> tuple[int, list[Place] | None]:
        """Delete the rows of the range, and return how many there were. It calls no receiver and follows no
        foreign key. Where one message can hold two statements, return as well the place `step` rows
        further on, as place() does in all that comes after the range; elsewhere, at step 0, and where
        place() would ask twice, None."""
        using, values = self.rows.db, self._values(part)
        if step < 1 or not sends_several(connections[using]):
            return self._statement("delete", part, self._delete).change(using, values), None

        def write(low: Place | None, high: Place | None) -> Prepared:
            return both(self._delete(low, high), self._place(step, self.held, high, None))

        deleted, found = self._statement(("both", step), part, write).change_and_rows(using, values)
        return deleted, self._end(found, None)

    def _end(self, found: list[Place], high: Place | None) -> list[Place] | None:
        """The place that was read by the columns that the index holds, in a range up to `high`. None if it is
        that of the next row as well."""
        if self.held == self.order or not found:
            return found
        if len(found) == 1:
            return [high or found[0]]
        return None if found[0] == found[1] else found[:1]

    def _read(self, part: Range, step: int, columns: tuple[str, ...]) -> list[Place]:
        statement = self._statement((columns, step), part, partial(self._place, step, columns))
        return statement.rows(self.rows.db, self._values(part))

    def _place(self, step: int, columns: tuple[str, ...], low: Place | None, high: Place | None) -> Prepared:
        """With the next row, unless these columns name a single row."""
        rows = reading_by(self.index, self._between(low, high).order_by(*columns))
        last = step if columns == self.order else step + 1
        return select(rows.values_list(*columns)[step - 1 : last])

    def _delete(self, low: Place | None, high: Place | None) -> Prepared:
        return delete(self._between(low, high), self.index)

    def _statement(self, name: Any, part: Range, write: Callable[..., Prepared]) -> Prepared:
        # Written once: the ORM takes longer to write it than the server takes to find a place.
        key = (name, *(place and len(place) for place in part))
        if key not in self._statements:
            self._statements[key] = write(*(self._parameters(*end) for end in part._asdict().items()))
        return self._statements[key]

    def _parameters(self, end: str, place: Place | None) -> Place | None:
        return place and tuple(
            Parameter(f"{end} {field.attname}", field) for field in self.fields[: len(place)]
        )

    def _values(self, part: Range) -> dict[str, Any]:
        return {
            f"{end} {name}": value
            for end, place in part._asdict().items()
            for name, value in zip(self.order, place or (), strict=False)
        }

    def _between(self, low: Place | None, high: Place | None) -> QuerySet[Any]:
        compare = _compare if connections[self.rows.db].vendor in COMPARE_ROWS else _compare_each
        bounds = [
            compare(self.fields[: len(place)], sign, place)
            for sign, place in ((">", low), ("<=", high))
            if place
        ]
        return self.rows.filter(*bounds)


def _compare(fields: list[Any], sign: str, place: Place) -> Func:
    """(time, key) > (…, …): the form for which PostgreSQL and SQLite use the index."""
    values = [
        each if isinstance(each, Parameter) else Value(each, field)
        for field, each in zip(fields, place, strict=True)
    ]
    sides = _row(*(F(field.attname) for field in fields)), _row(*values)
    return Func(*sides, template="%(expressions)s", arg_joiner=f" {sign} ", output_field=BooleanField())


def _row(*values: Any) -> Func:
    return Func(*values, template="(%(expressions)s)", output_field=Field())


def _compare_each(fields: list[Any], sign: str, place: Place) -> Q:
    """The same in the form for which MariaDB uses the index."""
    strictly, last = ("gt", "gt") if sign == ">" else ("lt", "lte")
    time, *keys = (field.attname for field in fields)
    at, *pks = place
    if not keys:
        return Q(**{f"{time}__{last}": at})
    return Q(**{f"{time}__{strictly}": at}) | Q(**{time: at, f"{keys[0]}__{last}": pks[0]})

"""The rows that ended in one way, and how cleanup deletes them: in batches, upwards along an index."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from .batches import HIGH, LOW, can_loop, delete_batches, is_cancelled
from .db.locks import is_lock, locked, try_briefly
from .db.prepared import Parameter, Prepared, delete, select

MAX_IDS = 1000  # in one statement: they take longer than a range
TIED_AHEAD = 50_000  # ids in memory: 5 MB


@dataclass
class Ended:
    """The rows to delete that ended in one way, the column that says when, and how far we have come.
    `is_plain`: only the database has to know that they go."""

    how: str
    column: str
    rows: QuerySet[Any]
    is_plain: bool
    low: datetime | None = None
    high: datetime | None = None
    is_finished: bool = False
    has_skipped: bool = False
    skipped_from: datetime | None = None
    tied: list[UUID] = field(default_factory=list)
    is_stuck: bool = False
    is_locked: bool = False
    is_refused: bool = False
    statements: dict[tuple[Any, ...], Prepared] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        if self.has_skipped or self.is_finished:
            return not self.has_skipped
        return bool(try_briefly(lambda: self._mark(0) is None, self.rows))

    def delete_batch(self, size: int, skip_locked: bool = False) -> int | None:
        """Delete at most so many rows, go on behind them, and return how many those were; None, having
        done nothing, where it met a lock. With `skip_locked` it leaves locked rows to go_back() to."""
        tied, is_stuck = self.tied, self.is_stuck
        deleted = try_briefly(partial(self._delete, size, skip_locked), self.rows)
        if deleted is None:
            self.tied, self.is_stuck = tied, is_stuck
        else:
            if skip_locked:
                self._skip()
            self.is_stuck = self.is_stuck and not deleted
            self.low, self.is_finished = self.high, self.high is None
        return deleted

    def delete_full_batches(self, size: int, most: int, seconds: float) -> Iterator[int]:
        """Delete batches of so many rows, at most so many of them and for so long, as far as the
        database gets on by itself, and go on behind them; yields how many rows each deleted. A batch
        that `is_locked`, tied or the last is for delete_batch()."""
        self.is_locked = False
        is_for_us = self.tied or self.is_refused or not self.is_plain
        if most < 1 or is_for_us or not can_loop(self.rows.db):
            return
        mark = self._written(lambda: self._write_mark(LOW, size), "mark of many", size)
        written = self._written(lambda: delete(self._between(LOW, HIGH)), "delete many")
        done, error = delete_batches(self.rows.db, mark, written, self.low, most, seconds)
        for batch in done:
            self.low, self.is_stuck = batch.high, False
            if batch.deleted:
                yield batch.deleted
        if error and is_cancelled(self.rows.db, error):
            raise error
        self.is_locked = error is not None and is_lock(error)
        self.is_refused = error is not None and not self.is_locked

    def _skip(self) -> None:
        if not self.has_skipped:
            self.has_skipped, self.skipped_from = True, self.low

    def go_back(self) -> None:
        """To the first rows that were skipped."""
        self.low, self.is_finished, self.has_skipped = self.skipped_from, False, False

    def _delete(self, size: int, skip_locked: bool) -> int | Callable[[], int]:
        """From the low mark up to the high one, which this finds."""
        self.high = self._mark(size)
        if self.high and self.high == self.low:
            return self._delete_tied(min(size, MAX_IDS), skip_locked)
        self.tied, self.is_stuck = [], False
        if not self.is_plain or skip_locked:
            return self._delete_rows(locked(self._between(self.low, self.high), skip_locked))
        low, high = self.low and self._parameter("low"), self.high and self._parameter("high")
        written = self._written(lambda: delete(self._between(low, high)), "delete", bool(low), bool(high))
        return written.change(self.rows.db, {"low": self.low, "high": self.high})

    def _delete_tied(self, size: int, skip_locked: bool) -> int | Callable[[], int]:
        """Of more rows than a batch holds, which a bulk revoke ended in one moment. Their ids are read
        many batches ahead, because each look at them passes by all that went before."""
        if not self.tied and self.is_stuck:
            # Something keeps them here, or has deleted them meanwhile.
            self._skip()
            self.high, self.is_stuck = self.high and self.high + timedelta.resolution, False
            return 0
        if not self.tied:
            ids = self._between(self.low).order_by(self.column).values_list("pk", flat=True)
            self.tied, self.is_stuck = list(ids[:TIED_AHEAD]), True
        rows = self.rows.filter(pk__in=self.tied[:size])
        self.tied = self.tied[size:]
        return self._delete_rows(rows if self.is_plain and not skip_locked else locked(rows, skip_locked))

    def _delete_rows(self, rows: QuerySet[Any]) -> int | Callable[[], int]:
        def run() -> int:
            return rows.delete()[1].get(rows.model._meta.label, 0)

        return run() if self.is_plain else run

    def _mark(self, offset: int) -> datetime | None:
        low = self.low and self._parameter("low")
        written = self._written(lambda: self._write_mark(low, offset), "mark", offset, bool(low))
        found = written.row(self.rows.db, {"low": self.low})
        return found[0] if found else None

    def _write_mark(self, low: Any, offset: int) -> Prepared:
        ahead = self._between(low).order_by(self.column).values_list(self.column, flat=True)
        return select(ahead[offset : offset + 1])

    def _between(self, low: Any = None, high: Any = None) -> QuerySet[Any]:
        bounds = {f"{self.column}__gte": low, f"{self.column}__lt": high}
        return self.rows.filter(**{lookup: bound for lookup, bound in bounds.items() if bound})

    def _written(self, write: Callable[[], Prepared], *variant: Any) -> Prepared:
        # Once for a run: to write a statement takes the ORM longer than the server needs to find a mark.
        if variant not in self.statements:
            self.statements[variant] = write()
        return self.statements[variant]

    def _parameter(self, name: str) -> Parameter:
        return Parameter(name, self.rows.model._meta.get_field(self.column))

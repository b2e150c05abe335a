"""Deletes what ended long enough ago: along the indexes, in short transactions, so that a table of
any size goes on serving logins meanwhile."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.db.models.deletion import Collector
from django.utils import timezone

from .clients import logger
from .conf import _duration, conf
from .sql import locked, try_briefly
from .statements import Parameter, Prepared, delete, select

DAYS = {"under a day": 1, "1 to 7 days": 7, "7 to 30 days": 30, "30 to 90 days": 90, "90 to 365 days": 365}
AGES = ("still active", *DAYS, "over a year")
MAX_BATCH = 1_000_000  # a batch is one transaction
MAX_LOADED = 500  # rows a batch for a project's receivers, which run while these are locked
MAX_IDS = 1000  # in one statement: they take longer than a range
TIED_AHEAD = 50_000  # ids in memory: 5 MB
LOCK_PAUSE, RETURNS = 1.0, 10  # seconds, and how often locked rows are tried again


class Cleaned(NamedTuple):
    """How many rows cleanup() deleted, by how their sessions ended; and whether those were all."""

    expired: int = 0
    revoked: int = 0
    is_complete: bool = True


class Preview(NamedTuple):
    """What cleanup() would delete: how many rows of which age (a key of AGES), the revoked by reason."""

    expired: dict[str, int]
    revoked: dict[str, dict[str, int]]


class ArgumentError(ValueError):
    """An argument of cleanup() that cannot be meant."""


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
    statements: dict[tuple[Any, ...], Prepared] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        if self.is_finished:
            return not self.has_skipped
        return bool(try_briefly(lambda: self._mark(0) is None, self.rows))

    def delete_batch(self, size: int, skip_locked: bool = False) -> int | None:
        """Delete at most so many rows, go on behind them, and return how many those were; None, having
        done nothing, where it met a lock. With `skip_locked` it leaves locked rows to go_back() to."""
        deleted = try_briefly(partial(self._delete, size, skip_locked), self.rows)
        if deleted is not None:
            if skip_locked and not self.has_skipped:
                self.has_skipped, self.skipped_from = True, self.low
            self.is_stuck = self.is_stuck and not deleted
            self.low, self.is_finished = self.high, self.high is None
        return deleted

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
            self.high = self.high and self.high + timedelta.resolution  # something keeps them here
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

        def write() -> Prepared:
            ahead = self._between(low).order_by(self.column).values_list(self.column, flat=True)
            return select(ahead[offset : offset + 1])

        found = self._written(write, "mark", offset, bool(low)).row(self.rows.db, {"low": self.low})
        return found[0] if found else None

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


def ended_rows(
    rows: QuerySet[Any], before: datetime | None, retention: timedelta | float | None, include_active: bool
) -> list[Ended]:
    now = timezone.now()
    if before and before > now and not include_active:
        raise ArgumentError("before is in the future: sessions that are still active would be deleted.")
    try:
        kept = conf.REVOKED_RETENTION if retention is None else _duration(retention)
    except ValueError as error:
        raise ArgumentError(f"retention must be {error}.") from None
    is_plain = Collector(using=rows.db, origin=rows).can_fast_delete(rows) and not (
        include_active and conf.CACHE
    )
    expired = rows.filter(is_revoked=False, expires_at__lt=before or now)
    revoked = rows.filter(is_revoked=True, revoked_at__lt=now - kept)
    return [
        Ended("expired", "expires_at", expired, is_plain),
        Ended("revoked", "revoked_at", revoked, is_plain),
    ]


def preview(expired: Ended, revoked: Ended) -> Preview:
    result = Preview(dict(_by_age(expired)), {})
    for reason, age, count in _by_age(revoked, "revoked_reason"):
        result.revoked.setdefault(reason, {})[age] = count
    return result


def _by_age(ended: Ended, *columns: str) -> Any:
    now = timezone.now()
    bounds = {"still active": 0, **DAYS}
    whens = [
        When(**{f"{ended.column}__gt": now - timedelta(days=days)}, then=Value(age))
        for age, days in bounds.items()
    ]
    age = Case(*whens, default=Value("over a year"), output_field=CharField())
    return ended.rows.annotate(age=age).values_list(*columns, "age").annotate(count=Count("pk"))


@dataclass
class Walk:
    """The bounds of one cleanup, and how far it has come. Durations are in seconds."""

    batch_size: int
    sleep: float
    max_rows: int | None
    max_seconds: float | None
    progress: Callable[[Cleaned], object] | None = None
    should_stop: Callable[[], object] | None = None
    done: Cleaned = field(default_factory=Cleaned)

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= MAX_BATCH:
            raise ArgumentError(f"batch_size must be 1 to {MAX_BATCH}.")
        for name, least in (("sleep", 0), ("max_rows", 1), ("max_seconds", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < float("inf"):
                raise ArgumentError(f"{name} must be {least} or more.")
        self.deadline = None if self.max_seconds is None else time.monotonic() + self.max_seconds

    def run(self, all_ended: list[Ended]) -> Cleaned:
        for ended in all_ended:
            for deleted in self._batches(ended):
                so_far = {ended.how: getattr(self.done, ended.how) + deleted}
                self.done = self.done._replace(**so_far, is_complete=False)
                if self.progress:
                    self.progress(self.done)
        return self.done._replace(is_complete=all(ended.is_gone for ended in all_ended))

    def _batches(self, ended: Ended) -> Iterator[int]:
        """Delete the rows upwards along their index, and yield how many each batch were. A batch starts
        at the mark where the last one ended: the index entries of the rows just deleted are still
        there, and would be read again. What comes in behind the mark is for the next cleanup; what
        was locked is tried again at the end, some times."""
        size = self.batch_size if ended.is_plain else min(self.batch_size, MAX_LOADED)
        returns = 0
        while not self._is_over():
            began = time.monotonic()
            deleted = ended.delete_batch(min(size, self._room()))
            if deleted is None:
                deleted = ended.delete_batch(min(size, self._room()), skip_locked=True)
            if deleted:
                yield deleted
            if deleted is None:
                self._pause(LOCK_PAUSE)
            elif not ended.is_finished:
                # On SQLite, who waits to write looks for a gap every tenth of a second.
                is_fair = connections[ended.rows.db].features.has_select_for_update
                self._pause(self.sleep if is_fair else max(self.sleep, time.monotonic() - began))
            elif not ended.has_skipped:
                return
            elif returns == RETURNS:
                logger.warning("cleanup left %s sessions that a transaction has locked", ended.how)
                return
            else:
                returns += 1
                self._pause(LOCK_PAUSE)
                ended.go_back()

    def _room(self) -> int:
        done = self.done.expired + self.done.revoked
        return self.batch_size if self.max_rows is None else min(self.batch_size, self.max_rows - done)

    def _is_over(self) -> bool:
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        return is_late or self._room() < 1 or bool(self.should_stop and self.should_stop())

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._is_over():
            time.sleep(min(seconds, 0.1))
            seconds -= 0.1

"""Deletes what ended long enough ago: along the indexes, in short transactions, so that a table of
any size goes on serving logins meanwhile."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.db.models.deletion import Collector
from django.utils import timezone

from .clients import logger
from .conf import _duration, conf
from .sql import try_to_delete
from .statements import Parameter, Prepared, delete, select

DAYS = {"under a day": 1, "1 to 7 days": 7, "7 to 30 days": 30, "30 to 90 days": 90, "90 to 365 days": 365}
AGES = ("still active", *DAYS, "over a year")
MAX_BATCH = 1_000_000  # a batch is one transaction
REFUSALS_TOLD = 50  # some ten seconds
MAX_IDS = 1000  # in one statement: they take longer than a range


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
    statements: dict[tuple[Any, ...], Prepared] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        return self.is_finished or self._mark(0) is None

    def next_batch(self, size: int) -> QuerySet[Any] | Callable[[], int]:
        """At most so many rows, from the low mark up to the high one, which this finds; where they
        are plain, what deletes them."""
        self.high = self._mark(size)
        if self.high and self.high == self.low:
            # A bulk revoke ended more in this one moment than a batch holds.
            ids = self._between(self.low).order_by(self.column).values_list("pk", flat=True)
            rows = self.rows.filter(pk__in=list(ids[: min(size, MAX_IDS)]))
            return self._deleting(delete(rows)) if self.is_plain else rows
        if not self.is_plain:
            return self._between(self.low, self.high)
        low, high = self.low and self._parameter("low"), self.high and self._parameter("high")
        written = self._written(lambda: delete(self._between(low, high)), "delete", bool(low), bool(high))
        return self._deleting(written)

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

    def _deleting(self, statement: Prepared) -> Callable[[], int]:
        return partial(statement.change, self.rows.db, {"low": self.low, "high": self.high})

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
        there, and would be read again. What comes in behind the mark is for the next cleanup."""
        refused = 0
        while not self._is_over():
            deleted = try_to_delete(partial(ended.next_batch, self._room()), ended.rows.db)
            if deleted is None:
                refused += 1
                if refused % REFUSALS_TOLD == 0:
                    logger.warning("cleanup waits for %s sessions that a transaction has locked", ended.how)
                continue
            refused = 0
            ended.low, ended.is_finished = ended.high, not ended.high
            if deleted:
                yield deleted
            if ended.is_finished:
                return
            self._pause()

    def _room(self) -> int:
        done = self.done.expired + self.done.revoked
        return self.batch_size if self.max_rows is None else min(self.batch_size, self.max_rows - done)

    def _is_over(self) -> bool:
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        return is_late or self._room() < 1 or bool(self.should_stop and self.should_stop())

    def _pause(self) -> None:
        left = self.sleep
        while left > 0 and not self._is_over():
            time.sleep(min(left, 0.1))
            left -= 0.1

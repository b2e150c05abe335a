"""Deletes what ended long enough ago: along the indexes, in short transactions, so that a table of
any size goes on serving logins meanwhile."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.db.models.deletion import Collector
from django.utils import timezone

from .conf import _duration, conf
from .ended import MAX_IDS, Ended

logger = logging.getLogger("sessions_ext")

DAYS = {"under a day": 1, "1 to 7 days": 7, "7 to 30 days": 30, "30 to 90 days": 90, "90 to 365 days": 365}
AGES = ("still active", *DAYS, "over a year")
MAX_BATCH = 1_000_000  # a batch is one transaction
MAX_LOADED = 500  # rows a batch for a project's receivers, which run while these are locked
SLICE = 0.1  # seconds that the database goes on by itself
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
    ends_verdicts = include_active and conf.CACHE is not None
    is_plain = Collector(using=rows.db, origin=rows).can_fast_delete(rows) and not ends_verdicts
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
            most = 0 if self.sleep else self._room() // size
            done = self.done
            yield from ended.delete_full_batches(size, most, self._seconds())
            if self.done != done and not ended.is_locked:
                continue
            began = time.monotonic()
            deleted = None if ended.is_locked else ended.delete_batch(min(size, self._room()))
            if deleted is None:
                deleted = ended.delete_batch(min(size, self._room(), MAX_IDS), skip_locked=True)
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
                logger.warning("cleanup left %s sessions that are locked, or that a trigger keeps", ended.how)
                return
            else:
                returns += 1
                self._pause(LOCK_PAUSE)
                ended.go_back()

    def _room(self) -> int:
        done = self.done.expired + self.done.revoked
        return sys.maxsize if self.max_rows is None else self.max_rows - done

    def _seconds(self) -> float:
        return SLICE if self.deadline is None else min(SLICE, self.deadline - time.monotonic())

    def _is_over(self) -> bool:
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        return is_late or self._room() < 1 or bool(self.should_stop and self.should_stop())

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._is_over():
            time.sleep(min(seconds, 0.1))
            seconds -= 0.1

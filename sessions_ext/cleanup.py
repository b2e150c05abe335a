"""Deletes what ended long enough ago: range by range along an index, each in a short transaction of its
own, so that a table of any size goes on serving logins meanwhile."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.db.models.deletion import Collector
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone
from django.utils.module_loading import import_string

from .batches import MAX_BATCH, ArgumentError, Batches
from .conf import conf, duration
from .db.locks import each_briefly, lock_briefly, locked, locked_values, locks_what_it_reads, try_briefly
from .db.mariadb import deleting_by_key
from .db.owners import everything_like, one_by_one
from .db.ranges import Place, Range, Ranges

logger = logging.getLogger("sessions_ext")

DAYS = {"under a day": 1, "1 to 7 days": 7, "7 to 30 days": 30, "30 to 90 days": 90, "90 to 365 days": 365}
AGES = ("still active", *DAYS, "over a year")
MAX_LOADED = 500  # rows in a batch for receivers, which stay locked while the receivers run
MAX_IDS = 1000  # ids in one statement
MAX_LOCKED = 500  # rows in a batch where a DELETE takes long, as on MariaDB, and others wait for its locks
RETRIES, LOCK_PAUSE = 10, 1.0  # how often a locked range is tried again, and the seconds in between
Deleted = tuple[int, list[Place] | None]  # how many rows, and the place further on, if it was looked for


@dataclass(frozen=True)
class CleanupResult:
    """How many rows cleanup() deleted, and whether it finished: rows of sessions by how these ended, and
    expired rows of Django's own session table (`payloads`)."""

    expired: int = 0
    revoked: int = 0
    is_complete: bool = True
    payloads: int = 0

    @property
    def total(self) -> int:
        return self.expired + self.revoked + self.payloads


@dataclass(frozen=True)
class CleanupPreview:
    """How many rows cleanup() would delete, by age (see AGES), and the revoked ones by reason as
    well."""

    expired: dict[str, int]
    revoked: dict[str, dict[str, int]]
    payloads: dict[str, int] = field(default_factory=dict)


@dataclass
class Target:
    """Rows to delete, along an index over the columns `held`, the first of which is the time when they ended.
    `index` is its name, for databases that have to be told, and `owner` the column by which the table is
    distributed, if it is. `left` lists the ranges still to do. `is_plain` says that a plain DELETE is enough:
    no receiver and no foreign key needs the rows loaded."""

    name: str
    rows: QuerySet[Any]
    held: tuple[str, ...]
    is_plain: bool
    index: str = ""
    owner: str = ""
    left: list[Range] = field(default_factory=lambda: [Range()])

    def __post_init__(self) -> None:
        self.ranges = Ranges(self.rows, self.held, self.index)

    def place(self, part: Range, step: int) -> list[Place] | None:
        """See Ranges.place(). None where it met a lock, such as a migration's."""
        return each_briefly(partial(self.ranges.place, part, step), self.rows.db)

    def has_rows(self, part: Range) -> bool:
        return self.place(part, 1) != []

    def delete(self, part: Range, skip_locked: bool, step: int) -> Deleted | None:
        """Delete the rows of a range, see Ranges.delete(). Where it meets a lock it deletes nothing and
        returns None. With `skip_locked` it deletes the rows that are not locked."""
        if self.is_plain and not skip_locked:
            return each_briefly(partial(self.ranges.delete, part, step), self.rows.db)
        lock = partial(self._locked, part, skip_locked)
        if self.is_plain:
            return try_briefly(lambda: self._delete(lock()), self.rows.db)
        return lock_briefly(lock, self.rows.db, self._delete)

    def _locked(self, part: Range, skip_locked: bool) -> QuerySet[Any]:
        rows = self.ranges.within(part)
        if not self.owner:
            return locked(rows, skip_locked)
        # One owner after the other: Citus locks rows on one shard at a time.
        found = [
            key
            for each in one_by_one(rows, self.owner)
            for key, *_ in locked_values(each, skip_locked=skip_locked)
        ]
        return everything_like(rows).filter(pk__in=found)

    def _delete(self, rows: QuerySet[Any]) -> Deleted:
        with deleting_by_key(rows.model, rows.db):
            return rows.delete()[1].get(rows.model._meta.label, 0), None


def expired_and_revoked(
    rows: QuerySet[Any], before: datetime | None, retention: timedelta | float | None, include_active: bool
) -> list[Target]:
    now = timezone.now()
    if before and before > now and not include_active:
        raise ArgumentError("before is in the future: sessions that are still active would be deleted.")
    try:
        kept = conf.REVOKED_RETENTION if retention is None else duration(retention)
    except ValueError as error:
        raise ArgumentError(f"retention must be {error}.") from None
    is_plain = is_deleted_plainly(rows) and not (include_active and conf.CACHE is not None)
    expired = rows.filter(is_revoked=False, expires_at__lt=before or now - conf.EXPIRED_RETENTION)
    revoked = rows.filter(is_revoked=True, revoked_at__lt=now - kept)
    owner = "user_id" if conf.DISTRIBUTED else ""
    return [
        Target("expired", expired, ("expires_at", "id"), is_plain, "sessions_ext_expiry", owner),
        Target("revoked", revoked, ("revoked_at", "id"), is_plain, "sessions_ext_revoked", owner),
    ]


def payloads(before: datetime | None, database: str | None, is_wanted: bool | None) -> list[Target]:
    """The rows of Django's own session table that expired before now, and before `before`: where
    SESSION_ENGINE keeps sessions in a table, that table is in this database (None for any), and they
    are wanted (None for yes)."""
    model = session_model()
    using = model and router.db_for_write(model)
    if is_wanted and (model is None or database not in (None, using)):
        raise ArgumentError("payloads: SESSION_ENGINE keeps no sessions in this database.")
    if is_wanted is False or model is None or database not in (None, using):
        return []
    now = timezone.now()
    rows = model._base_manager.using(using).filter(expire_date__lt=min(before or now, now))
    # Django's index holds no key: among rows of one time, a second query finds where a batch ends.
    return [Target("payloads", rows, ("expire_date",), is_deleted_plainly(rows))]


def session_model() -> Any:
    """The model of the table in which SESSION_ENGINE keeps sessions; None for an engine without one."""
    store: Any = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    return store.get_model_class() if hasattr(store, "get_model_class") else None


def is_deleted_plainly(rows: QuerySet[Any]) -> bool:
    return Collector(using=rows.db, origin=rows).can_fast_delete(rows)


def preview(expired: Target, revoked: Target, *payloads: Target) -> CleanupPreview:
    by_reason: dict[str, dict[str, int]] = {}
    for reason, age, count in _by_age(revoked, "revoked_reason"):
        by_reason.setdefault(reason, {})[age] = count
    return CleanupPreview(dict(_by_age(expired)), by_reason, *(dict(_by_age(each)) for each in payloads))


def _by_age(target: Target, *columns: str) -> Any:
    now = timezone.now()
    bounds = {"still active": 0, **DAYS}
    whens = [
        When(**{f"{target.held[0]}__gt": now - timedelta(days=days)}, then=Value(age))
        for age, days in bounds.items()
    ]
    age = Case(*whens, default=Value("over a year"), output_field=CharField())
    return target.rows.annotate(age=age).values_list(*columns, "age").annotate(count=Count("pk"))


class Walk(Batches):
    """One cleanup: its bounds, and how many rows it has deleted."""

    def clear(self, target: Target) -> Iterator[int]:
        """Delete a target's rows as far as the bounds allow, and yield the number of rows of each
        batch. Rows that come in behind the walk are for the next cleanup. Locked rows are tried again
        at the end."""
        for attempt in range(1 + RETRIES):
            if attempt > 1:
                self.wait(LOCK_PAUSE)
            todo, target.left = target.left, []
            for part in todo:
                yield from self._delete(target, part, skip_locked=attempt > 0)
            target.left = [part for part in target.left if target.has_rows(part)]
            if not target.left or self.is_over():
                return
        table = target.rows.model._meta.db_table
        logger.warning(
            "cleanup skipped %s rows of %s that other transactions kept locked", target.name, table
        )

    def _delete(self, target: Target, whole: Range, skip_locked: bool) -> Iterator[int]:
        size = min(self.batch_size, MAX_IDS if skip_locked else MAX_BATCH)
        if not target.is_plain:
            size = min(size, MAX_LOADED)
        if locks_what_it_reads(target.rows.db):
            size = min(size, MAX_LOCKED)
        rest, end = whole, None
        while True:
            step = min(size, self.room())
            if end is None and not self.is_over():
                end = target.place(rest, step)
            if end is not None:
                self.wait(self.pause)
            if end is None or self.is_over():
                target.left.append(rest)
                return
            began, is_last = time.monotonic(), not end
            high = end[0] if end else rest.high
            part, rest = Range(rest.low, high), Range(high, rest.high)
            next_step = 0 if is_last else min(size, self.room() - step)
            done = target.delete(part, skip_locked, next_step)
            deleted, end = done or (0, None)
            if done is None or skip_locked:
                target.left.append(part)
            # On SQLite, a writer that waits looks for a gap only every tenth of a second.
            is_fair = connections[target.rows.db].features.has_select_for_update
            self.pause = self.sleep if is_fair else max(self.sleep, time.monotonic() - began)
            if deleted:
                self.done += deleted
                yield deleted
            if is_last:
                return


def cleanup(
    targets: list[Target], walk: Walk, progress: Callable[[CleanupResult], object] | None = None
) -> CleanupResult:
    """Clear the targets. The name of each is a field of the result."""
    if has_receivers_of_all_models():
        logger.warning(
            "cleanup has to load each row: a receiver of pre_delete or post_delete is connected"
            " for all models"
        )
    result = CleanupResult(is_complete=False)
    for target in targets:
        for deleted in walk.clear(target):
            result = replace(result, **{target.name: getattr(result, target.name) + deleted})
            if progress:
                progress(result)
    return replace(result, is_complete=not any(target.left for target in targets))


def has_receivers_of_all_models() -> bool:
    """Whether a receiver of pre_delete or post_delete was connected without a sender."""

    class Anything:
        """A sender that nobody can have named."""

    return pre_delete.has_listeners(Anything) or post_delete.has_listeners(Anything)

"""Which sessions, and what is done to them. Each method that touches the database has an `a`-prefixed
twin with the same signature that does the same off the event loop."""

from collections import Counter
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from . import clients, signals, verdict_cache
from .conf import conf
from .db.conditions import by_no_index, on_other_column
from .db.keys import is_one
from .db.locks import locked_values, locks_what_it_reads, take_write_lock
from .db.mariadb import deleting_by_key
from .db.owners import everything_like, one_by_one
from .db.prepared import Parameter
from .db.updates import update, update_returning
from .decorators import alters_rows, twin
from .lifetime import active, bounds, end_by_time, unended
from .reasons import RevokedReason

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .models import UserSession


CHUNK = 5000  # rows
CLOCK_SKEW = timedelta(days=1)  # more than two clocks of one site ever differ


class UserSessionQuerySet(models.QuerySet["UserSession"]):
    def for_user(self, user: "AbstractBaseUser | Any") -> Self:
        """The sessions of a user, given as an instance or a primary key. An anonymous user has none."""
        user_id = getattr(user, "pk", user)
        return self.none() if user_id is None else self.filter(user_id=user_id)

    def active(self, at: datetime | None = None) -> Self:
        """Not revoked, not past `expires_at` and, where IDLE_TIMEOUT is set, seen within it."""
        condition = active(bounds(at or timezone.now()))
        return self.filter(by_no_index(condition) if is_one(self) else condition)

    def expired(self, at: datetime | None = None) -> Self:
        """Ended by time alone: neither active nor revoked."""
        at = at or timezone.now()
        return self.filter(~unended(bounds(at)), is_revoked=False)

    def revoked(self) -> Self:
        return self.filter(is_revoked=True)

    def own(self) -> Self:
        """Only those in which the users act themselves, and nobody else as them."""
        return self.filter(impersonator=None)

    def ended(self, at: datetime | None = None) -> Self:
        """Revoked or expired, the latest end first."""
        ended = self.filter(~active(bounds(at or timezone.now())))
        return ended.order_by(Coalesce("revoked_at", end_by_time()).desc(), "-id")

    def signed_in_since(self, moment: datetime) -> Self:
        """Sessions with `created_at` at or after the moment. Reads only the newer end of the primary
        key: an id holds the time when its row was made, which is never before its login."""
        first = max((moment - CLOCK_SKEW).timestamp(), 0)
        return self.filter(pk__gte=UUID(int=int(first * 1000) << 80), created_at__gte=moment)

    def newest_first(self) -> Self:
        return self.order_by("-created_at", "-id")

    def oldest_first(self) -> Self:
        return self.order_by("created_at", "id")

    @alters_rows
    def revoke(self, reason: str) -> int:
        """End these sessions, and return how many this call ended: 0 if all were revoked before. Such rows
        keep their first reason. One statement, or with a CACHE two in a transaction. Sends one
        session_revoked for all of them.

        With an IMPERSONATOR, the sessions in which the same users act as others end as well, uncounted:
        of those that for_user() names, under the same other conditions. One statement more."""
        ended = revoke_rows(self, reason)
        if conf.IMPERSONATOR and (acting := on_other_column(self, "user", "impersonator")) is not None:
            revoke_rows(acting, RevokedReason.IMPERSONATOR)
        return len(ended)

    @alters_rows
    def touch(self, ip_address: str | None = None) -> int:
        """Record activity now on the active rows that were not touched within TOUCH_INTERVAL, and
        return how many there were. Writes no indexed column and inserts nothing."""
        now = timezone.now()
        due = self.active(at=now).filter(last_activity_at__lte=now - conf.TOUCH_INTERVAL)
        address = clients.normalise_ip(ip_address)
        seen: dict[str, Any] = {}
        if address:
            same = When(last_ip_address=address, then="last_ip_since")
            # The address comes last: MariaDB sets one column after the other.
            seen["last_ip_since"] = Case(same, default=Value(now, models.DateTimeField()))
            seen["last_ip_address"] = address
        return sum(update(each, last_activity_at=now, **seen) for each in by_shard(due))

    @alters_rows
    def trust(self) -> int:
        """Mark the devices of the active rows as trusted, and return how many rows there are. Trust
        ends with the session. A session in which somebody else acts as the user is never trusted."""
        return len(trust_rows(self))

    @alters_rows
    def untrust(self) -> int:
        """Mark the devices of the active rows as not trusted, and return how many rows there are."""
        return len(trust_rows(self, is_trusted=False))

    @alters_rows
    def delete(self) -> tuple[int, dict[str, int]]:
        """Django's own delete(). It also ends the cached verdicts about these rows."""
        self._for_write = True
        if not conf.CACHE and not locks_what_it_reads(self.db):
            return super().delete()
        if self._fields is not None:  # type: ignore[attr-defined]
            raise TypeError("Cannot call delete() after .values() or .values_list()")
        deleted: Counter[str] = Counter()
        with transaction.atomic(using=self.db, savepoint=False), deleting_by_key(self.model, self.db):
            take_write_lock(self)
            # Before any row is locked, because a cache may let us wait.
            users = set(self.order_by().values_list("user_id", flat=True)) if conf.CACHE else set()
            verdict_cache.invalidate(users, self.db)
            found = [row for each in by_shard(self) for row in locked_values(each, "user_id")]
            verdict_cache.invalidate({user_id for _, user_id in found} - users, self.db)
            # Only these rows: for users who log in meanwhile, the verdicts were not ended.
            for start in range(0, max(len(found), 1), CHUNK):
                these = everything_like(self).filter(pk__in=[pk for pk, _ in found[start : start + CHUNK]])
                deleted.update(super(UserSessionQuerySet, these).delete()[1])
        self._result_cache = None
        return deleted.total(), dict(deleted)

    def _link_refresh_token(self, token_id: UUID | None) -> int:
        """Make `token_id` the valid refresh token of the active rows, keep the one before it for
        REFRESH_GRACE, and return how many rows there were: 0 when the session has ended."""
        return update(
            self.active(),
            # First: MariaDB assigns from left to right.
            previous_refresh_token_id=F("refresh_token_id"),
            refresh_token_id=token_id,
            refreshed_at=timezone.now(),
        )

    arevoke = twin(revoke)
    adelete = twin(delete)  # type: ignore[arg-type]
    atouch = twin(touch)
    atrust = twin(trust)
    auntrust = twin(untrust)


def revoke_rows(
    rows: UserSessionQuerySet, reason: str, at: datetime | None = None, *, waits: bool = True
) -> list[tuple[UUID, Any]]:
    """See UserSessionQuerySet.revoke(). Returns the id and the user of each row that it ended. For `waits`
    see verdict_cache.invalidate()."""
    if not 0 < len(reason) <= 255 or "\0" in reason:
        raise ValueError("A reason must have 1 to 255 characters and no NUL.")
    rows._for_write = True
    now, using = at or timezone.now(), rows.db
    users: set[Any] = set()
    parts = by_shard(rows.filter(is_revoked=False))
    # In a transaction, so that no verdict holds between the commit and the news of it.
    with transaction.atomic(using=using, savepoint=False) if conf.CACHE or len(parts) != 1 else nullcontext():
        if conf.CACHE:
            take_write_lock(rows)
            # Also for rows that another call revoked lately: its news may be on the way, or lost. And
            # before any row is locked, because a cache may let us wait.
            since = now - conf.VERDICT_TTL - timedelta(seconds=verdict_cache.MARGIN)
            concerned = rows.filter(Q(is_revoked=False) | Q(revoked_at__gte=since)).order_by()
            users = set(concerned.values_list("user_id", flat=True))
            verdict_cache.invalidate(users, using, waits=waits)
        end = {"is_revoked": True, "revoked_at": now, "revoked_reason": reason}
        ended = [row for part in parts for row in update_returning(part, "id", "user_id", **end)]
        verdict_cache.invalidate({user_id for _, user_id in ended} - users, using)  # of logins since then
    if ended:
        session_ids = [session_id for session_id, _ in ended]
        signals.rows_revoked.send(rows.model, session_ids=session_ids)
        signals.send_after_commit(
            signals.session_revoked,
            rows.model,
            using,
            session_ids=session_ids,
            user_ids={user_id for _, user_id in ended},
            reason=reason,
        )
    return ended


def trust_rows(rows: UserSessionQuerySet, is_trusted: bool = True) -> list[tuple[UUID, Any]]:
    """See UserSessionQuerySet.trust(). Returns the id and the user of each active row."""
    rows._for_write = True
    parts = by_shard(rows.active().own())
    with nullcontext() if len(parts) == 1 else transaction.atomic(using=rows.db, savepoint=False):
        each = (update_returning(part, "id", "user_id", is_trusted=is_trusted) for part in parts)
        changed = [row for found in each for row in found]
    verdict_cache.invalidate({user_id for _, user_id in changed}, rows.db)
    return changed


def by_shard(rows: UserSessionQuerySet) -> list[UserSessionQuerySet]:
    """The rows in the parts in which a table that is DISTRIBUTED can lock them: those of one user after the
    other. Elsewhere they are one part."""
    return one_by_one(rows, "user_id") if conf.DISTRIBUTED else [rows]


def rotate_refresh_token(session: "UserSession", token_id: UUID) -> bool:
    """Replace the refresh token of an active session: one compare-and-swap. Returns False, having done
    nothing, where another call was first or the session has ended."""
    rows: UserSessionQuerySet = session.as_row.filter(refresh_token_id=session.refresh_token_id)
    is_rotated = bool(rows._link_refresh_token(token_id))
    if is_rotated:
        session.refresh_token_id = token_id
    return is_rotated


def keyed(rows: Any, *columns: str) -> Any:
    """The rows with values in these columns, all of them parameters."""
    fields = rows.model._meta.get_field
    return rows.filter(**{fields(name).attname: Parameter(name, fields(name)) for name in columns})

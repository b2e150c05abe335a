"""Every statement the app runs. Each method that touches the database has an
`a`-prefixed twin with the same signature that does the same off the event loop."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DataError, models, router, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from . import cleanup as cleaning
from . import clients, limits, signals, verdicts
from .cleanup import CleanupPreview, CleanupResult
from .conf import conf
from .db.locks import in_lock_order, seeing_latest, take_write_lock
from .db.prepared import Parameter, Statement
from .db.updates import update_returning
from .decorators import alters_data, alters_rows, twin
from .exceptions import SessionLimitReached
from .lifetime import active, bounds, end_by_time, unended
from .reasons import RevokedReason

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .models import UserSession

CHUNK = 5000  # rows
CLOCK_SKEW = timedelta(days=1)  # more than two clocks of one site ever differ


class UserSessionQuerySet(models.QuerySet["UserSession"]):
    def for_user(self, user: "AbstractBaseUser | Any") -> Self:
        """The sessions of a user, given as an instance or a primary key; none of an anonymous one."""
        user_id = getattr(user, "pk", user)
        return self.none() if user_id is None else self.filter(user_id=user_id)

    def active(self, at: datetime | None = None) -> Self:
        """Not revoked, not past `expires_at` and, where IDLE_TIMEOUT is set, seen within it."""
        return self.filter(active(at or timezone.now()))

    def expired(self, at: datetime | None = None) -> Self:
        """Ended by time alone: neither active nor revoked."""
        at = at or timezone.now()
        return self.filter(~unended(bounds(at)), is_revoked=False)

    def revoked(self) -> Self:
        return self.filter(is_revoked=True)

    def ended(self, at: datetime | None = None) -> Self:
        """Revoked or expired, the latest end first."""
        ended = self.filter(~active(at or timezone.now()))
        return ended.order_by(Coalesce("revoked_at", end_by_time()).desc(), "-id")

    def signed_in_since(self, moment: datetime) -> Self:
        """Those with `created_at` from then on. It reads the newer end of the primary key only:
        an id tells when its row was made, which is never before its login."""
        first = max((moment - CLOCK_SKEW).timestamp(), 0)
        return self.filter(pk__gte=UUID(int=int(first * 1000) << 80), created_at__gte=moment)

    def newest_first(self) -> Self:
        return self.order_by("-created_at", "-id")

    def oldest_first(self) -> Self:
        return self.order_by("created_at", "id")

    @alters_rows
    def revoke(self, reason: str) -> int:
        """End these sessions and return how many this call ended. Rows revoked before
        keep their first reason. One statement, or with a CACHE two in a transaction; sends
        one session_revoked for them all."""
        return len(revoke_rows(self, reason))

    @alters_rows
    def touch(self, ip_address: str | None = None) -> int:
        """Record activity now on the active rows not touched within TOUCH_INTERVAL, and
        return how many those were. Writes no indexed column and inserts nothing."""
        now = timezone.now()
        due = self.active(at=now).filter(last_activity_at__lte=now - conf.TOUCH_INTERVAL)
        address = clients.normalise_ip(ip_address)
        seen = {"last_ip_address": address} if address else {}
        return in_lock_order(due).update(last_activity_at=now, **seen)

    @alters_rows
    def trust(self) -> int:
        """Vouch for the devices of the active rows, and return how many rows that were. Trust
        ends with the session."""
        return len(trust_rows(self))

    @alters_rows
    def untrust(self) -> int:
        """Stop vouching for the devices of the active rows, and return how many rows that were."""
        return len(trust_rows(self, is_trusted=False))

    @alters_rows
    def delete(self) -> tuple[int, dict[str, int]]:
        """Django's own delete(); no verdict about these rows holds after it."""
        if not conf.CACHE:
            return super().delete()
        self._for_write = True
        deleted: Counter[str] = Counter()
        with transaction.atomic(using=self.db, savepoint=False):
            take_write_lock(self)
            found = list(self.order_by("pk").values_list("pk", "user_id"))
            verdicts.invalidate({user_id for _, user_id in found}, self.db)
            # No others: whoever logs in meanwhile is not told of.
            for start in range(0, max(len(found), 1), CHUNK):
                these = self.filter(pk__in=[pk for pk, _ in found[start : start + CHUNK]])
                deleted.update(super(UserSessionQuerySet, these).delete()[1])
        self._result_cache = None
        return deleted.total(), dict(deleted)

    def _link_refresh_token(self, token_id: UUID | None) -> int:
        """Make `token_id` the valid refresh token of the active rows, keep the one before it
        for the grace window, and return how many rows that were: 0 when the session ended."""
        return self.active().update(
            previous_refresh_token_id=F("refresh_token_id"),
            refresh_token_id=token_id,
            refreshed_at=timezone.now(),
        )

    arevoke = twin(revoke)
    adelete = twin(delete)  # type: ignore[arg-type]
    atouch = twin(touch)
    atrust = twin(trust)
    auntrust = twin(untrust)


def revoke_rows(rows: UserSessionQuerySet, reason: str, at: datetime | None = None) -> list[tuple[UUID, Any]]:
    """See UserSessionQuerySet.revoke(). Returns the id and the user of each row that it ended."""
    if not 0 < len(reason) <= 255 or "\0" in reason:
        raise ValueError("A reason has 1 to 255 characters, and no NUL.")
    rows._for_write = True
    now, using = at or timezone.now(), rows.db
    # In a transaction, so that no verdict holds between its commit and the news of it.
    with transaction.atomic(using=using, savepoint=False) if conf.CACHE else nullcontext():
        ended = update_returning(
            in_lock_order(rows.filter(is_revoked=False)),
            "id",
            "user_id",
            is_revoked=True,
            revoked_at=now,
            revoked_reason=reason,
        )
        if conf.CACHE:
            # Also of what another call revoked, whose news may be on its way or lost.
            since = now - conf.VERDICT_TTL - timedelta(seconds=verdicts.MARGIN)
            lately = rows.filter(is_revoked=True, revoked_at__gte=since).order_by()
            users = {*lately.values_list("user_id", flat=True), *(user_id for _, user_id in ended)}
            verdicts.invalidate(users, using)
    if ended:
        signals.send_after_commit(
            signals.session_revoked,
            rows.model,
            using,
            session_ids=[session_id for session_id, _ in ended],
            user_ids={user_id for _, user_id in ended},
            reason=reason,
        )
    return ended


def trust_rows(rows: UserSessionQuerySet, is_trusted: bool = True) -> list[tuple[UUID, Any]]:
    """See UserSessionQuerySet.trust(). Returns the id and the user of each active row."""
    rows._for_write = True
    changed = update_returning(in_lock_order(rows.active()), "id", "user_id", is_trusted=is_trusted)
    verdicts.invalidate({user_id for _, user_id in changed}, rows.db)
    return changed


class UserSessionManager(models.Manager.from_queryset(UserSessionQuerySet)):  # type: ignore[misc]
    def by_refresh_token(self, token_id: UUID | str) -> "UserSession | None":
        """The active session whose current refresh token this is; None for whatever else is
        passed. One query."""
        if not token_id:
            return None
        try:
            return self.primary.active().get(refresh_token_id=token_id)
        except (self.model.DoesNotExist, ValidationError, TypeError):
            return None

    @alters_data
    def start(
        self,
        user: "AbstractBaseUser",
        *,
        request: HttpRequest | None = None,
        ip_address: str | None = None,
        user_agent: str = "",
        expires_at: datetime | None = None,
        refresh_token_id: UUID | None = None,
        _id: UUID | None = None,
    ) -> "UserSession":
        """Insert the row of a login and hold the user to MAX_SESSIONS, in one transaction.

        The address and the user agent come from `request` unless given. `expires_at` is at
        most LIFETIME from now, which is also the default. Raises SessionLimitReached, having
        inserted nothing, where ON_LIMIT is "deny" or the limit is 0; ValueError for a user who is
        not saved; IntegrityError if the refresh token is taken.
        """
        if user.pk is None or user._state.adding:
            raise ValueError("Only a saved user has sessions.")
        now = timezone.now()
        client = clients.describe(request, ip_address, user_agent)
        latest = now + conf.LIFETIME
        session: UserSession = self.model(
            user_id=user.pk,
            device_info=client.device_info,
            user_agent=client.user_agent,
            ip_address=client.ip_address,
            last_ip_address=client.ip_address,
            location=client.location,
            created_at=now,
            last_activity_at=now,
            # When an adopted login proved who it is, nobody knows.
            authenticated_at=now - conf.LIFETIME if _id else now,
            expires_at=min(expires_at or latest, latest),
            refresh_token_id=refresh_token_id,
            **({"id": _id} if _id else {}),
        )
        self.model._meta.get_field("user").set_cached_value(session, user)
        limit = limits.limit_of(user, request)
        rows = self.primary
        scope: Any = transaction.atomic(using=rows.db) if limit is None else seeing_latest(rows.db)
        try:
            with scope as sees_all:
                # The insert comes before the count: on SQLite it takes the write lock.
                if limit is not None:
                    limits.lock(user, rows.db)
                session.save(using=rows.db, force_insert=True)
                if limit is not None:
                    evicted = self._evict(user, limit, keep=None if session.is_adopted else session)
                    session.is_revoked = session.pk in evicted  # as an adopted one may be
                    if not sees_all:
                        # Those who commit meanwhile are seen by a transaction of its own.
                        transaction.on_commit(partial(self._evict_unseen, user, limit), using=rows.db)
                signals.send_after_commit(
                    signals.session_started, self.model, rows.db, session=session, request=request
                )
        except SessionLimitReached:
            signals.session_limit_reached.send_robust(
                self.model, user=user, limit=limit, policy=conf.ON_LIMIT, session_ids=[]
            )
            raise
        return session

    def verify(self, user_id: Any, session_id: Any) -> "UserSession | None":
        """The active session of that user by that id, with its user joined; or None, for
        whatever else is passed. One query, on the database that revokes are written to."""
        after = bounds(timezone.now())
        try:
            session: UserSession | None = VERIFY.get(
                self.primary, *after, user=user_id, id=session_id, **after
            )
        except (ValidationError, ValueError, TypeError, OverflowError, DataError):
            return None
        return session

    @alters_data
    def enforce_limit(self, user: "AbstractBaseUser") -> list[UUID]:
        """Revoke what a user has beyond MAX_SESSIONS, by ON_LIMIT, and return the ids.
        Raises SessionLimitReached instead where ON_LIMIT is "deny"."""
        limit = limits.limit_of(user)
        if limit is None:
            return []
        rows = self.primary
        with seeing_latest(rows.db):
            limits.lock(user, rows.db)
            take_write_lock(rows)  # as the insert does in start()
            return self._evict(user, limit)

    @alters_data
    def cleanup(
        self,
        *,
        before: datetime | None = None,
        retention: timedelta | float | None = None,
        batch_size: int = 5000,
        sleep: float = 0,
        max_rows: int | None = None,
        max_seconds: float | None = None,
        include_active: bool = False,
        progress: Callable[[CleanupResult], object] | None = None,
        should_stop: Callable[[], object] | None = None,
    ) -> CleanupResult:
        """Delete the rows that expired before `before` (default now) unrevoked, and those revoked
        longer ago than `retention` (default REVOKED_RETENTION), in short transactions of `batch_size`
        rows, `sleep` seconds apart. Stops after `max_rows` rows, after `max_seconds` seconds, or when
        `should_stop()` is true, which it asks between batches; `progress(result)` is called after each.
        Sends sessions_cleaned. Raises ValueError for a `before` in the future, unless `include_active`
        says it is meant."""
        rows = self.primary
        targets = cleaning.expired_and_revoked(rows, before, retention, include_active)
        walk = cleaning.Walk(batch_size, sleep, max_rows, max_seconds, should_stop)
        result = cleaning.cleanup(targets, walk, progress)
        signals.send_after_commit(signals.sessions_cleaned, self.model, rows.db, **asdict(result))
        return result

    def preview_cleanup(
        self,
        *,
        before: datetime | None = None,
        retention: timedelta | float | None = None,
        include_active: bool = False,
    ) -> CleanupPreview:
        """What cleanup() would delete now, counted exactly, by reason and age. Two queries."""
        targets = cleaning.expired_and_revoked(self.primary, before, retention, include_active)
        return cleaning.preview(*targets)

    aby_refresh_token = twin(by_refresh_token)
    astart = twin(start)
    averify = twin(verify)
    aenforce_limit = twin(enforce_limit)
    acleanup = twin(cleanup)
    apreview_cleanup = twin(preview_cleanup)

    @property
    def primary(self) -> UserSessionQuerySet:
        """All sessions, in the database that they are written to. Never a replica: one that lags
        would go on accepting a revoked session."""
        queryset: UserSessionQuerySet = self.using(self._db or router.db_for_write(self.model))
        return queryset

    def _evict(self, user: "AbstractBaseUser", limit: int, keep: "UserSession | None" = None) -> list[UUID]:
        active = self.primary.for_user(user).active()
        if (keep and limit < 1) or (conf.ON_LIMIT == "deny" and active.count() > limit):
            raise SessionLimitReached(f"Not more than {limit} active sessions.")
        others = active.exclude(pk=keep.pk) if keep else active
        return self._end_surplus(user, limit, limits.surplus(others, limit - 1 if keep else limit))

    def _evict_unseen(self, user: "AbstractBaseUser", limit: int) -> None:
        with seeing_latest(self.primary.db):
            limits.lock(user, self.primary.db)
            self._end_surplus(user, limit, limits.surplus(self.primary.for_user(user).active(), limit))

    def _end_surplus(self, user: "AbstractBaseUser", limit: int, surplus: list[UUID]) -> list[UUID]:
        if not surplus:
            return []
        rows = self.primary.for_user(user)
        # Mostly one, and that is the cheaper statement: other logins of the user are waiting.
        these = {"pk": surplus[0]} if len(surplus) == 1 else {"pk__in": surplus}
        session_ids = [pk for pk, _ in revoke_rows(rows.filter(**these), RevokedReason.LIMIT)]
        if session_ids:
            signals.send_after_commit(
                signals.session_limit_reached,
                self.model,
                rows.db,
                user=user,
                limit=limit,
                policy=conf.ON_LIMIT,
                session_ids=session_ids,
            )
        return session_ids


def rotate_refresh_token(session: "UserSession", token_id: UUID) -> bool:
    """Replace the refresh token of an active session: one compare-and-swap. Returns False, having done
    nothing, where another call was first or the session has ended."""
    rows: UserSessionQuerySet = session.as_row.filter(refresh_token_id=session.refresh_token_id)
    is_rotated = bool(rows._link_refresh_token(token_id))
    if is_rotated:
        session.refresh_token_id = token_id
    return is_rotated


def one_active(rows: Any, *bounds: str) -> Any:
    """The active row of a user by its id, all of it parameters; `bounds` are the names in bounds()."""
    fields = rows.model._meta.get_field
    after = {column: Parameter(column, fields(column)) for column in bounds}
    keys = {name: Parameter(name, fields(name)) for name in ("user", "id")}
    return rows.filter(unended(after), user_id=keys["user"], pk=keys["id"], is_revoked=False)


def _verify(rows: Any, *bounds: str) -> tuple[Any, dict[str, Any]]:
    return one_active(rows, *bounds).select_related("user"), {}


# Requests wait for it, so that its SQL is written once, by these filters.
VERIFY = Statement(_verify)

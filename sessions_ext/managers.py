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

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connections, models, router, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from . import cleanup as cleaning
from . import clients, hot, signals, verdicts
from .cleanup import CleanupPreview, CleanupResult
from .conf import conf
from .db.locks import in_lock_order, take_write_lock
from .db.updates import update_returning
from .decorators import alters_data, alters_rows, twin
from .exceptions import SessionLimitReached
from .lifetime import active, end_by_time, idle_before, limit_of, unended
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
        return self.filter(~unended(at, idle_before(at)), is_revoked=False)

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
        return len(self._revoke(reason))

    @alters_rows
    def touch(self, ip_address: str | None = None, expires_at: datetime | None = None) -> int:
        """Record activity now on the active rows not touched within TOUCH_INTERVAL, and
        return how many those were. Writes no indexed column and inserts nothing. With
        `expires_at`, moves the end of all active rows there as well."""
        now = timezone.now()
        due = self.active(at=now)
        seen: dict[str, Any] = {"last_activity_at": now}
        if ip_address := clients.normalise_ip(ip_address):
            seen["last_ip_address"] = ip_address
        if expires_at:
            seen["expires_at"] = expires_at
        else:
            due = due.filter(last_activity_at__lte=now - conf.TOUCH_INTERVAL)
        if not expires_at:
            return in_lock_order(due).update(**seen)
        self._for_write = True
        moved = update_returning(in_lock_order(due), "user_id", **seen)
        verdicts.forget({user_id for (user_id,) in moved}, self.db)
        return len(moved)

    @alters_rows
    def trust(self, is_trusted: bool = True) -> int:
        """Vouch for the devices of the active rows, or not any more, and return how many rows
        that were. Trust ends with the session."""
        return len(self._trust(is_trusted))

    @alters_rows
    def link_refresh_token(self, token_id: UUID | None) -> int:
        """Make `token_id` the valid refresh token of the active rows, keep the one before it
        for the grace window, and return how many rows that were: 0 when the session ended."""
        return self.active().update(
            refresh_token_id=token_id,
            previous_refresh_token_id=F("refresh_token_id"),
            refreshed_at=timezone.now(),
        )

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
            verdicts.forget({user_id for _, user_id in found}, self.db)
            # No others: whoever logs in meanwhile is not told of.
            for start in range(0, max(len(found), 1), CHUNK):
                these = self.filter(pk__in=[pk for pk, _ in found[start : start + CHUNK]])
                deleted.update(super(UserSessionQuerySet, these).delete()[1])
        self._result_cache = None
        return deleted.total(), dict(deleted)

    arevoke = twin(revoke)
    adelete = twin(delete)  # type: ignore[arg-type]
    atouch = twin(touch)
    atrust = twin(trust)
    alink_refresh_token = twin(link_refresh_token)

    def _revoke(self, reason: str) -> list[tuple[UUID, Any]]:
        if not 0 < len(reason) <= 255 or "\0" in reason:
            raise ValueError("A reason has 1 to 255 characters, and no NUL.")
        self._for_write = True
        now = timezone.now()
        rows = in_lock_order(self.filter(is_revoked=False))
        # In a transaction, so that no verdict holds between its commit and the news of it.
        with transaction.atomic(using=self.db, savepoint=False) if conf.CACHE else nullcontext():
            ended = update_returning(
                rows, "id", "user_id", is_revoked=True, revoked_at=now, revoked_reason=reason
            )
            if conf.CACHE:
                # Also of what another call revoked, whose news may be on its way or lost.
                since = now - conf.VERDICT_TTL - timedelta(seconds=verdicts.MARGIN)
                lately = self.filter(is_revoked=True, revoked_at__gte=since).order_by()
                users = {*lately.values_list("user_id", flat=True), *(user_id for _, user_id in ended)}
                verdicts.forget(users, self.db)
        if ended:
            self._send_after_commit(
                signals.session_revoked,
                session_ids=[session_id for session_id, _ in ended],
                user_ids={user_id for _, user_id in ended},
                reason=reason,
            )
        return ended

    def _trust(self, is_trusted: bool) -> list[tuple[UUID, Any]]:
        self._for_write = True
        changed = update_returning(in_lock_order(self.active()), "id", "user_id", is_trusted=is_trusted)
        verdicts.forget({user_id for _, user_id in changed}, self.db)
        return changed

    def _send_after_commit(self, signal: Signal, **kwargs: Any) -> None:
        transaction.on_commit(partial(signal.send_robust, self.model, **kwargs), using=self.db)


class UserSessionManager(models.Manager.from_queryset(UserSessionQuerySet)):  # type: ignore[misc]
    def by_refresh_token(self, token_id: UUID | str) -> "UserSession | None":
        """The row, active or not, whose current refresh token this is; None for whatever else
        is passed. One query."""
        if not token_id:
            return None
        try:
            return self._primary().get(refresh_token_id=token_id)
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
        id: UUID | None = None,
    ) -> "UserSession":
        """Insert the row of a login and hold the user to MAX_SESSIONS, in one transaction.

        The address and the user agent come from `request` unless given. `expires_at` is at
        most LIFETIME from now, which is also the default. `id` is for callers that must not
        insert twice. Raises SessionLimitReached, having inserted nothing, where ON_LIMIT is
        "deny" or the limit is 0; ValueError for a user who is not saved; IntegrityError if
        the id or the refresh token is taken.
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
            expires_at=min(expires_at or latest, latest),
            refresh_token_id=refresh_token_id,
            **({"id": id} if id else {}),
        )
        self.model._meta.get_field("user").set_cached_value(session, user)
        limit = limit_of(user)
        rows = self._primary()
        try:
            with transaction.atomic(using=rows.db):
                # The insert comes before the count: on SQLite it takes the write lock.
                if limit is not None:
                    self._lock(user)
                session.save(using=rows.db, force_insert=True)
                if limit is not None:
                    self._evict(user, limit, keep=session)
                rows._send_after_commit(signals.session_started, session=session, request=request)
        except SessionLimitReached:
            signals.session_limit_reached.send_robust(
                self.model, user=user, limit=limit, policy=conf.ON_LIMIT, session_ids=[]
            )
            raise
        return session

    @alters_data
    def adopt(
        self, user: "AbstractBaseUser", id: UUID, *, request: HttpRequest, expires_at: datetime | None
    ) -> "UserSession | None":
        """The row of a login from before the app was installed: start() on its first request,
        however many of those arrive at once. None once that row has ended, or at the limit."""
        try:
            return self.verify(user.pk, id) or self.start(user, request=request, expires_at=expires_at, id=id)
        except IntegrityError:
            return self.verify(user.pk, id)
        except SessionLimitReached:
            return None

    def verify(self, user_id: Any, session_id: Any, recall: bool = False) -> "UserSession | None":
        """The active session of that user by that id, with its user joined; or None, for
        whatever else is passed. One query, on the database that revokes are written to; none
        with `recall` where the CACHE has a verdict that still holds."""
        using, version = self._db or router.db_for_write(self.model), None
        is_ours = type(self) is UserSessionManager  # a project's own may say which rows there are
        if recall and conf.CACHE and is_ours:
            session, version = verdicts.recall(self.model, using, user_id, session_id)
            if session and session.is_active:
                return session
        try:
            if is_ours:
                session = hot.verify(using, user_id, session_id)
            else:
                found = self._primary().active().filter(user_id=user_id, pk=session_id)
                session = found.select_related("user").first()
        except (ValidationError, ValueError, TypeError, OverflowError, DataError):
            return None
        if session and version:
            verdicts.keep(session, version)
        return session

    @alters_data
    def enforce_limit(self, user: "AbstractBaseUser") -> list[UUID]:
        """Revoke what a user has beyond MAX_SESSIONS, by ON_LIMIT, and return the ids.
        Raises SessionLimitReached instead where ON_LIMIT is "deny"."""
        limit = limit_of(user)
        if limit is None:
            return []
        rows = self._primary()
        with transaction.atomic(using=rows.db):
            self._lock(user)
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
        rows = self._primary()
        targets = cleaning.expired_and_revoked(rows, before, retention, include_active)
        walk = cleaning.Walk(batch_size, sleep, max_rows, max_seconds, should_stop)
        result = cleaning.cleanup(targets, walk, progress)
        rows._send_after_commit(signals.sessions_cleaned, **asdict(result))
        return result

    def preview_cleanup(
        self,
        *,
        before: datetime | None = None,
        retention: timedelta | float | None = None,
        include_active: bool = False,
    ) -> CleanupPreview:
        """What cleanup() would delete now, counted exactly, by reason and age. Two queries."""
        targets = cleaning.expired_and_revoked(self._primary(), before, retention, include_active)
        return cleaning.preview(*targets)

    aby_refresh_token = twin(by_refresh_token)
    astart = twin(start)
    aadopt = twin(adopt)
    averify = twin(verify)
    aenforce_limit = twin(enforce_limit)
    acleanup = twin(cleanup)
    apreview_cleanup = twin(preview_cleanup)

    def _primary(self) -> UserSessionQuerySet:
        # Never a replica: one that lags would go on accepting a revoked session.
        queryset: UserSessionQuerySet = self.using(self._db or router.db_for_write(self.model))
        return queryset

    def _lock(self, user: "AbstractBaseUser") -> None:
        """Let one login of this user at a time pass, until the transaction ends."""
        db = self._primary().db
        if connections[db].features.has_select_for_update:
            users = get_user_model()._base_manager.using(db).select_for_update(no_key=True)
            users.values_list("pk").get(pk=user.pk)

    def _evict(self, user: "AbstractBaseUser", limit: int, keep: "UserSession | None" = None) -> list[UUID]:
        rows = self._primary().for_user(user)
        active = rows.active()
        if (keep and limit < 1) or (conf.ON_LIMIT == "deny" and active.count() > limit):
            raise SessionLimitReached(f"Not more than {limit} active sessions.")
        if keep:
            active = active.exclude(pk=keep.pk)
        room = limit - 1 if keep else limit
        idlest = ("-last_activity_at",) if conf.ON_LIMIT == "revoke_idlest" else ()
        kept_first = active.order_by(*idlest, "-created_at", "-id").values_list("pk", flat=True)
        surplus = list(kept_first[room:])
        if not surplus:
            return []
        # Mostly one, and that is the cheaper statement: other logins of the user are waiting.
        these = {"pk": surplus[0]} if len(surplus) == 1 else {"pk__in": surplus}
        ended = rows.filter(**these)._revoke(RevokedReason.LIMIT)
        session_ids = [session_id for session_id, _ in ended]
        if ended:
            rows._send_after_commit(
                signals.session_limit_reached,
                user=user,
                limit=limit,
                policy=conf.ON_LIMIT,
                session_ids=session_ids,
            )
        return session_ids

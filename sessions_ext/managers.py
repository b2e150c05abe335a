"""Logins, and what concerns the table as a whole. See querysets for what concerns some of its rows."""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from . import cleanup as cleaning
from . import clients, limits, signals
from .cleanup import CleanupPreview, CleanupResult
from .conf import conf
from .db.errors import UNSUITABLE
from .db.locks import locks_what_it_reads, seeing_latest, take_write_lock
from .db.prepared import Statement
from .decorators import alters_data, twin
from .exceptions import SessionLimitReached
from .lifetime import longest
from .querysets import UserSessionQuerySet, keyed, revoke_rows
from .reasons import RevokedReason

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .models import UserSession


class UserSessionManager(models.Manager.from_queryset(UserSessionQuerySet)):  # type: ignore[misc]
    def by_refresh_token(self, token_id: UUID | str) -> "UserSession | None":
        """The active session whose current refresh token this is; None for anything else. One query."""
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
        impersonator: "AbstractBaseUser | None" = None,
        _id: UUID | None = None,
        _hint: UUID | None = None,
    ) -> "UserSession":
        """Insert the row of a login and hold the user to MAX_SESSIONS, in one transaction.

        The address and the user agent come from `request` unless given. `expires_at` is at
        most LIFETIME from now, which is also the default. Raises SessionLimitReached, having
        inserted nothing, where ON_LIMIT is "deny" or the limit is 0; ValueError for a user who is
        not saved; IntegrityError if the refresh token is taken.

        `impersonator` is who acts as the user in it. Such a session counts towards no limit and ends
        none, and lives for IMPERSONATION_LIFETIME at most. An impersonator who is the user has come back
        from acting as another: this is an ordinary session, but nobody has just proved who they are.
        """
        if user.pk is None or user._state.adding:
            raise ValueError("Save the user before starting a session.")
        now = timezone.now()
        client = clients.describe(request, ip_address, user_agent)
        is_impersonated = impersonator is not None and impersonator.pk != user.pk
        latest = now + longest(is_impersonated)
        long_ago = now - conf.LIFETIME - (conf.REAUTHENTICATE_AFTER or timedelta(0))
        session: UserSession = self.model(
            user_id=user.pk,
            device_info=client.device_info,
            user_agent=client.user_agent,
            ip_address=client.ip_address,
            last_ip_address=client.ip_address,
            location=client.location,
            created_at=now,
            last_activity_at=now,
            # Nobody knows when the person in an adopted login last proved who they are. Nor does whoever
            # begins or ends to act as another.
            authenticated_at=long_ago if _id or impersonator else now,
            impersonator=impersonator if is_impersonated else None,
            expires_at=min(expires_at or latest, latest),
            refresh_token_id=refresh_token_id,
            payload_hint=_hint,
            **({"id": _id} if _id else {}),
        )
        self.model._meta.get_field("user").set_cached_value(session, user)
        limit = None if is_impersonated else limits.limit_of(user, request)
        rows = self.primary
        scope: Any = transaction.atomic(using=rows.db) if limit is None else seeing_latest(rows.db)
        try:
            with scope as sees_all:
                # The insert comes before the count: on SQLite it takes the write lock. On MariaDB it takes a
                # shared lock of the user's row: two logins that then write to that row would deadlock.
                if limit is not None or locks_what_it_reads(rows.db):
                    limits.lock(user, rows.db)
                session.save(using=rows.db, force_insert=True)
                if limit is not None:
                    evicted = self._evict(user, limit, keep=None if session.is_adopted else session)
                    session.is_revoked = session.pk in evicted  # an adopted row may be ended itself
                    if not sees_all:
                        # This transaction cannot see logins that commit meanwhile. One after it can.
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
        """The active session with this id and this user, with the user joined; None for anything else.
        One query, on the database that revokes are written to."""
        try:
            session: UserSession | None = VERIFY.get(self.primary, user=user_id, id=session_id)
        except UNSUITABLE:
            return None
        return session if session and session.is_active else None

    @alters_data
    def enforce_limit(self, user: "AbstractBaseUser") -> list[UUID]:
        """Revoke a user's sessions beyond MAX_SESSIONS, by the policy ON_LIMIT, and return their ids.
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
        payloads: bool | None = None,
        progress: Callable[[CleanupResult], object] | None = None,
        should_stop: Callable[[], object] | None = None,
    ) -> CleanupResult:
        """Delete the rows that expired before `before` (default EXPIRED_RETENTION ago) unrevoked, and
        those revoked longer ago than `retention` (default REVOKED_RETENTION), in short transactions of
        `batch_size` rows, `sleep` seconds apart. Then, unless `payloads` is False, it deletes the expired
        rows of Django's own session table, where SESSION_ENGINE keeps one. Stops after `max_rows` rows,
        after `max_seconds` seconds, or when `should_stop()` is true, which it asks between batches;
        `progress(result)` is called after each.
        Sends sessions_cleaned. Raises ValueError for a `before` in the future, unless `include_active`
        says it is meant, and for `payloads=True` where there is no such table."""
        rows = self.primary
        targets = cleaning.expired_and_revoked(rows, before, retention, include_active)
        targets += cleaning.payloads(before, self._db, payloads)
        walk = cleaning.Walk(batch_size, sleep, max_rows, max_seconds, should_stop)
        began = time.monotonic()
        result = cleaning.cleanup(targets, walk, progress)
        told = {**asdict(result), "seconds": time.monotonic() - began}
        signals.send_after_commit(signals.sessions_cleaned, self.model, rows.db, **told)
        return result

    def preview_cleanup(
        self,
        *,
        before: datetime | None = None,
        retention: timedelta | float | None = None,
        include_active: bool = False,
        payloads: bool | None = None,
    ) -> CleanupPreview:
        """What cleanup() would delete now, counted exactly, by reason and age. A query a table, and one
        more for the reasons."""
        targets = cleaning.expired_and_revoked(self.primary, before, retention, include_active)
        targets += cleaning.payloads(before, self._db, payloads)
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
        database = self._db or router.db_for_write(self.model)
        queryset: UserSessionQuerySet = self.db_manager(database).get_queryset()
        return queryset

    def _evict(self, user: "AbstractBaseUser", limit: int, keep: "UserSession | None" = None) -> list[UUID]:
        active = self.primary.for_user(user).active().own()
        if (keep and limit < 1) or (conf.ON_LIMIT == "deny" and active.count() > limit):
            error = SessionLimitReached(f"MAX_SESSIONS allows {limit} active sessions.")
            error.limit = limit
            raise error
        others = active.exclude(pk=keep.pk) if keep else active
        return self._end_surplus(user, limit, limits.surplus(others, limit - 1 if keep else limit))

    def _evict_unseen(self, user: "AbstractBaseUser", limit: int) -> None:
        with seeing_latest(self.primary.db):
            limits.lock(user, self.primary.db)
            self._end_surplus(user, limit, limits.surplus(self.primary.for_user(user).active().own(), limit))

    def _end_surplus(self, user: "AbstractBaseUser", limit: int, surplus: list[UUID]) -> list[UUID]:
        if not surplus:
            return []
        rows = self.primary.for_user(user)
        # Usually it is one, and naming it is cheaper. The user's other logins are waiting for this.
        these = {"pk": surplus[0]} if len(surplus) == 1 else {"pk__in": surplus}
        session_ids = [pk for pk, _ in revoke_rows(rows.filter(**these), RevokedReason.LIMIT, waits=False)]
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


def _verify(rows: Any) -> tuple[Any, dict[str, Any]]:
    # Active or not: fewer conditions are planned sooner, and no index but that of the keys serves them.
    return keyed(rows, "user", "id").select_related("user"), {}


# Every request waits for this, so its SQL is written once.
VERIFY = Statement(_verify)

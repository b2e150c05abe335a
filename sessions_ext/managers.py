"""Every statement the app runs. Each method that touches the database has an
`a`-prefixed twin with the same signature that does the same off the event loop."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DataError, IntegrityError, connections, models, router, transaction
from django.db.models import F, Q
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from . import clients, signals
from .conf import conf
from .exceptions import SessionLimitReached
from .reasons import RevokedReason
from .sql import delete_giving_way, in_lock_order, update_returning

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .models import UserSession

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Callable[..., Any])


def twin(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The async twin of a method, so that its logic is written once."""

    @wraps(method)
    async def call(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(method)(self, *args, **kwargs)

    call.__name__ = f"a{method.__name__}"
    call.__doc__ = f"See {method.__name__}()."
    return call  # type: ignore[return-value]


def alters_data(method: M) -> M:
    """A method that changes rows, so that no template calls it."""
    method.alters_data = True  # type: ignore[attr-defined]
    return method


def alters_rows(method: M) -> M:
    """A queryset method that changes its rows; not on the manager, where they are the table."""
    method.queryset_only = True  # type: ignore[attr-defined]
    return alters_data(method)


class Cleaned(NamedTuple):
    """How many rows cleanup() deleted, by how their sessions ended."""

    expired: int = 0
    revoked: int = 0


class UserSessionQuerySet(models.QuerySet["UserSession"]):
    def for_user(self, user: "AbstractBaseUser | Any") -> Self:
        """The sessions of a user, given as an instance or a primary key; none of an anonymous one."""
        user_id = getattr(user, "pk", user)
        return self.none() if user_id is None else self.filter(user_id=user_id)

    def active(self, at: datetime | None = None) -> Self:
        """Not revoked, not past `expires_at` and, where IDLE_TIMEOUT is set, seen within it."""
        return self.filter(_unended(at or timezone.now()), is_revoked=False)

    def expired(self, at: datetime | None = None) -> Self:
        """Ended by time alone: neither active nor revoked."""
        return self.filter(~_unended(at or timezone.now()), is_revoked=False)

    def revoked(self) -> Self:
        return self.filter(is_revoked=True)

    def newest_first(self) -> Self:
        return self.order_by("-created_at", "-id")

    def oldest_first(self) -> Self:
        return self.order_by("created_at", "id")

    @alters_rows
    def revoke(self, reason: str) -> int:
        """End these sessions and return how many this call ended. Rows revoked before
        keep their first reason. One statement; sends one session_revoked for them all."""
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
        return in_lock_order(due).update(**seen)

    @alters_rows
    def link_refresh_token(self, token_id: UUID | None) -> int:
        """Make `token_id` the valid refresh token of the active rows, keep the one before it
        for the grace window, and return how many rows that were: 0 when the session ended."""
        return self.active().update(
            refresh_token_id=token_id,
            previous_refresh_token_id=F("refresh_token_id"),
            refreshed_at=timezone.now(),
        )

    arevoke = twin(revoke)
    atouch = twin(touch)
    alink_refresh_token = twin(link_refresh_token)

    def _revoke(self, reason: str) -> list[tuple[UUID, Any]]:
        if not 0 < len(reason) <= 255 or "\0" in reason:
            raise ValueError("A reason has 1 to 255 characters, and no NUL.")
        self._for_write = True
        rows = in_lock_order(self.filter(is_revoked=False))
        ended = update_returning(
            rows, "id", "user_id", is_revoked=True, revoked_at=timezone.now(), revoked_reason=reason
        )
        if ended:
            self._send_after_commit(
                signals.session_revoked,
                session_ids=[session_id for session_id, _ in ended],
                user_ids={user_id for _, user_id in ended},
                reason=reason,
            )
        return ended

    def _delete_before(self, column: str, cutoff: datetime, batch_size: int) -> int:
        """Delete the rows with `column` before `cutoff`, walking its index upwards. Each batch
        starts at the mark where the last one ended, so that it does not read the index
        entries of the rows just deleted again; the last one has no such mark, so that it
        finds what came in behind it."""
        deleted, low = 0, None
        rows = self.filter(**{f"{column}__lt": cutoff})
        while True:
            ahead = rows.filter(**{f"{column}__gte": low}) if low else rows
            high = ahead.order_by(column).values_list(column, flat=True)[batch_size - 1 : batch_size].first()
            batch = ahead.filter(**{f"{column}__lte": high}) if high else rows
            deleted += delete_giving_way(batch)
            if not high:
                return deleted
            low = high

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
        limit = _limit_of(user)
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

    def verify(self, user_id: Any, session_id: Any) -> "UserSession | None":
        """The active session of that user by that id, with its user joined; or None, for
        whatever else is passed. One query, on the database that revokes are written to."""
        try:
            return self._primary().active().select_related("user").get(user_id=user_id, pk=session_id)
        except (self.model.DoesNotExist, ValidationError, ValueError, TypeError, OverflowError, DataError):
            return None

    @alters_data
    def enforce_limit(self, user: "AbstractBaseUser") -> list[UUID]:
        """Revoke what a user has beyond MAX_SESSIONS, by ON_LIMIT, and return the ids.
        Raises SessionLimitReached instead where ON_LIMIT is "deny"."""
        limit = _limit_of(user)
        if limit is None:
            return []
        rows = self._primary()
        with transaction.atomic(using=rows.db):
            self._lock(user)
            # Changes nothing, but takes SQLite's write lock, as the insert does in start():
            # there, a transaction that reads first may find that it cannot write any more.
            rows.filter(pk=UUID(int=0)).update(is_trusted=False)
            return self._evict(user, limit)

    @alters_data
    def cleanup(self, before: datetime | None = None, batch_size: int = 5000) -> Cleaned:
        """Delete the rows that expired before `before` (default now) unrevoked, and those
        revoked longer ago than REVOKED_RETENTION, in short transactions of `batch_size` rows."""
        if batch_size < 1:
            raise ValueError("batch_size must be 1 or more.")
        now = timezone.now()
        rows = self._primary()
        before = min(before or now, now)  # what has not expired yet is somebody's login
        return Cleaned(
            expired=rows.filter(is_revoked=False)._delete_before("expires_at", before, batch_size),
            revoked=rows.revoked()._delete_before("revoked_at", now - conf.REVOKED_RETENTION, batch_size),
        )

    aby_refresh_token = twin(by_refresh_token)
    astart = twin(start)
    aadopt = twin(adopt)
    averify = twin(verify)
    aenforce_limit = twin(enforce_limit)
    acleanup = twin(cleanup)

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


def _unended(at: datetime) -> Q:
    within = Q(expires_at__gt=at)
    return within & Q(last_activity_at__gt=at - conf.IDLE_TIMEOUT) if conf.IDLE_TIMEOUT else within


def _limit_of(user: "AbstractBaseUser") -> int | None:
    limit = conf.MAX_SESSIONS
    if isinstance(limit, str):
        limit = import_string(limit)(user)
    if limit is not None and type(limit) is not int:
        raise ImproperlyConfigured(f"MAX_SESSIONS returned {type(limit).__name__}, not an int or None.")
    return None if limit is None else max(limit, 0)

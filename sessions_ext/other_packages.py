"""Adopts the sessions of another package: who is logged in by it stays logged in, and has a row here.

A row's id comes from the session key, like that of a login that is adopted at its next request. So a run
may be killed, and the next one goes on: what is there already is left alone. Each statement is a
transaction of its own, the rows before the data that name them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from . import authentication, clients
from .adoption import id_of_key
from .batches import ArgumentError, Batches
from .cleanup import session_model
from .conf import conf
from .lifetime import cookie_end
from .models import UserSession
from .reasons import RevokedReason
from .store import ID_KEY, STAMP_KEY

ATTEMPTS = 5  # at a batch, when users are deleted meanwhile


@dataclass(frozen=True)
class Source:
    """A package whose model has the columns `session_key`, `ip` and `user_agent`, and others for when the
    login began (None where it keeps no such time) and was last seen. `engine` keeps the sessions' data in
    that table, too; without one the data are where SESSION_ENGINE keeps them, and stay there."""

    app: str
    model: str
    created: str | None
    seen: str
    engine: str | None = None


SOURCES = {
    source.app: source
    for source in (
        Source(
            "user_sessions",
            "user_sessions.models.Session",
            None,
            "last_activity",
            "user_sessions.backends.db",
        ),
        Source("qsessions", "qsessions.models.Session", "created_at", "updated_at", "qsessions.backends.db"),
        Source(
            "allauth.usersessions", "allauth.usersessions.models.UserSession", "created_at", "last_seen_at"
        ),
    )
}


@dataclass(frozen=True)
class AdoptionResult:
    """How many sessions of the package were met: logins that have a row now (`adopted`), sessions without
    a user whose data were copied (`anonymous`), those that were there already (`known`), and those that
    nobody is logged in by any more (`ended`). `missing` counts the adopted logins that ended because the
    package has them no more. `is_complete` says whether the run has finished."""

    adopted: int = 0
    anonymous: int = 0
    known: int = 0
    ended: int = 0
    missing: int = 0
    is_complete: bool = False

    @property
    def total(self) -> int:
        return self.adopted + self.anonymous + self.known + self.ended

    def __add__(self, other: "AdoptionResult") -> "AdoptionResult":
        names = ("adopted", "anonymous", "known", "ended", "missing")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


def adopt_sessions(
    source: str,
    *,
    batch_size: int = 200,
    sleep: float = 0,
    max_rows: int | None = None,
    max_seconds: float | None = None,
    end_missing: bool = False,
    dry_run: bool = False,
    progress: Callable[[AdoptionResult], object] | None = None,
    should_stop: Callable[[], object] | None = None,
) -> AdoptionResult:
    """Adopt the sessions of a package, one of SOURCES, in the order of their keys and in batches, `sleep`
    seconds apart. Stops after `max_rows` sessions, after `max_seconds` seconds, or when `should_stop()` is
    true; `progress(result)` is called after each batch. `end_missing` ends the logins of an earlier run
    that the package has no more: their people have signed out there since. `dry_run` counts and writes
    nothing.

    Sends no signal and applies no limit; only the end of what is missing is told, as any end is. Raises
    ArgumentError where the package or the engine is not there. At most seven queries a batch, and two
    where all of it is known."""
    batches = Batches(batch_size, sleep, max_rows, max_seconds, should_stop)
    adoption = Adoption(SOURCES[source], is_dry=dry_run)
    if end_missing and adoption.target is None:
        raise ArgumentError(f"end_missing is not for {source}: a logout there deletes the data here.")
    result, last = AdoptionResult(), ""
    while keys := adoption.keys(last, batch_size):
        if batches.is_over():
            return result
        keys = keys[: batches.room()]
        result += adoption.take(keys)
        if end_missing:
            result = sum(adoption.end_missing(last, keys[-1], batch_size), result)
        last, batches.done = keys[-1], result.adopted + result.anonymous
        if progress:
            progress(result)
        batches.wait(sleep)
    for ended in adoption.end_missing(last, None, batch_size) if end_missing else ():
        result += ended
        if batches.is_over():
            return result
    return replace(result, is_complete=True)


class Adoption:
    """What one run reads from and writes to."""

    def __init__(self, source: Source, is_dry: bool = False) -> None:
        if not apps.is_installed(source.app):
            raise ArgumentError(f"from needs {source.app} in INSTALLED_APPS, until all are adopted.")
        self.source, self.is_dry = source, is_dry
        model: Any = import_string(source.model)
        table = session_model()
        if source.engine and table in (None, model):
            raise ArgumentError(
                f"from {source.app} needs a SESSION_ENGINE with a table of its own, such as"
                " sessions_ext.engines.db."
            )
        engine: Any = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        self.engine: Any = getattr(engine, "engine_store", engine)  # without verifying
        self.theirs: Any = import_string(f"{source.engine}.SessionStore") if source.engine else self.engine
        self.rows = model._base_manager.using(router.db_for_write(model))
        self.table = table and table._base_manager.using(router.db_for_write(table))
        self.target = self.table if source.engine else None
        self.users = auth.get_user_model()._base_manager.using(UserSession.objects.primary.db)

    def count(self) -> int:
        """How many sessions the package has. One query."""
        count: int = self._live().count()
        return count

    def keys(self, last: str, number: int) -> list[str]:
        """The keys that come after `last`, so many of them. One query."""
        keys = self._live().filter(session_key__gt=last).order_by("session_key")
        return list(keys.values_list("session_key", flat=True)[:number])

    def take(self, keys: list[str]) -> AdoptionResult:
        """Adopt the sessions with these keys."""
        known = self._known(keys)
        new = [key for key in keys if key not in known]
        for _ in range(ATTEMPTS - 1):
            with suppress(IntegrityError):  # a user was deleted meanwhile
                return AdoptionResult(known=len(known)) + self._take(new)
        return AdoptionResult(known=len(known)) + self._take(new)

    def end_missing(self, last: str, end: str | None, number: int) -> Iterator[AdoptionResult]:
        """End the logins that were adopted under a key after `last`, up to `end`, which the package has
        no more; so many keys at once. Three queries each, and more where there are any."""
        upto = self.table.filter(session_key__lte=end) if end else self.table.all()
        here = upto.order_by("session_key").values_list("session_key", flat=True)
        while keys := list(here.filter(session_key__gt=last)[:number]):
            last = keys[-1]
            there = set(self.rows.filter(session_key__in=keys).values_list("session_key", flat=True))
            ids = {id_of_key(key): key for key in keys if key not in there}
            missing = UserSession.objects.primary.active().filter(pk__in=ids)
            gone = list(missing.values_list("pk", flat=True))
            if gone and not self.is_dry:
                missing.filter(pk__in=gone).revoke(RevokedReason.LOGOUT)
                self.table.filter(session_key__in=[ids[pk] for pk in gone]).delete()
            yield AdoptionResult(missing=len(gone))

    def _live(self) -> Any:
        return self.rows.filter(expire_date__gt=timezone.now()) if self.source.engine else self.rows

    def _known(self, keys: list[str]) -> set[str]:
        if self.target is not None:
            return set(self.target.filter(session_key__in=keys).values_list("session_key", flat=True))
        ids = {id_of_key(key): key for key in keys}
        rows = UserSession.objects.primary.filter(pk__in=ids)
        return {ids[pk] for pk in rows.values_list("pk", flat=True)}

    def _take(self, keys: list[str]) -> AdoptionResult:
        rows = list(self.rows.filter(session_key__in=keys)) if keys else []
        stored = self._stored(rows)
        users = self._users(
            {data[auth.SESSION_KEY] for data, _ in stored.values() if auth.SESSION_KEY in data}
        )
        own, anonymous, logins = [], [], {}
        for key, row in ((row.session_key, row) for row in rows):
            data, end = stored.get(key, ({}, None))
            if auth.SESSION_KEY not in data:
                if data and self.target is not None:
                    anonymous.append(key)
            elif ID_KEY in data:  # a login of this app's, which has its row
                own.append(key)
            elif session := self._login(row, data, end, users.get(data[auth.SESSION_KEY])):
                logins[key] = session
        adopted = logins if self.is_dry else self._insert(logins)
        for key, session in adopted.items():
            stored[key][0].update({ID_KEY: str(session.pk), STAMP_KEY: authentication.stamp(session)})
        if self.target is not None and not self.is_dry:
            copies = [self._copy(key, *stored[key]) for key in (*adopted, *own, *anonymous)]
            self.target.bulk_create(copies, ignore_conflicts=True)
        return AdoptionResult(
            adopted=len(adopted),
            anonymous=len(anonymous),
            known=len(own),
            ended=len(keys) - len(adopted) - len(anonymous) - len(own),
        )

    def _users(self, values: set[Any]) -> dict[Any, Any]:
        """The users, by their primary keys as the sessions' data have them."""
        read = auth.get_user_model()._meta.pk.to_python
        keys = {}
        for value in values:
            with suppress(ValidationError):
                keys[value] = read(value)
        users = self.users.in_bulk(set(keys.values()))
        return {value: users[key] for value, key in keys.items() if key in users}

    def _stored(self, rows: list[Any]) -> dict[str, tuple[dict[str, Any], datetime | None]]:
        """The data of the sessions, and when these expire, by their keys."""
        if not self.source.engine:
            keys = [row.session_key for row in rows]
            if self.table is None:
                stores = {key: self.engine(key) for key in keys}
                return {key: (dict(store.items()), cookie_end(store)) for key, store in stores.items()}
            rows = self.table.filter(session_key__in=keys, expire_date__gt=timezone.now())
        decode = self.theirs().decode
        return {row.session_key: (decode(row.session_data), row.expire_date) for row in rows}

    def _login(self, row: Any, data: dict[str, Any], end: datetime | None, user: Any) -> UserSession | None:
        """The row of a login that is still valid."""
        if user is None:
            return None
        seen: datetime = getattr(row, self.source.seen)
        created: datetime | None = getattr(row, self.source.created) if self.source.created else None
        latest = timezone.now() + conf.LIFETIME
        moves = settings.SESSION_SAVE_EVERY_REQUEST  # the cookie's end, with each request
        session = UserSession(
            id=id_of_key(row.session_key),
            user=user,
            created_at=created or seen,
            last_activity_at=seen,
            # Nobody knows how the login was made, by a password or by acting as another: step-up asks again.
            authenticated_at=(created or seen) - conf.LIFETIME,
            expires_at=latest if moves or end is None else min(end, latest),
        )
        holds = partial(constant_time_compare, data.get(auth.HASH_SESSION_KEY) or "")
        login = authentication.judge(session, None, data.get(auth.BACKEND_SESSION_KEY), holds, None)
        if login.user is None or not session.is_active:
            return None
        client = clients.describe(None, row.ip, row.user_agent or "")
        session.ip_address = session.last_ip_address = client.ip_address
        session.user_agent, session.device_info = client.user_agent, client.device_info
        session.location = client.location
        return session

    def _insert(self, logins: dict[str, UserSession]) -> dict[str, UserSession]:
        """Insert the rows, and return those that are active: one that an earlier run has inserted may
        have been ended since."""
        rows = UserSession.objects.primary
        rows.bulk_create(logins.values(), ignore_conflicts=True)
        users = {session.user_id for session in logins.values()}
        inserted = rows.active().filter(user_id__in=users).in_bulk([each.pk for each in logins.values()])
        return {key: inserted[session.pk] for key, session in logins.items() if session.pk in inserted}

    def _copy(self, key: str, data: dict[str, Any], end: datetime | None) -> Any:
        store = self.engine(key)
        store._session_cache = data
        row = store.create_model_instance(data)
        row.expire_date = end
        return row

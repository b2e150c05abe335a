"""The session store of a request: the project's own engine, which gives out the data of a
login only after its row was verified."""

import uuid
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from .authentication import auth_hashes, user_of
from .conf import conf
from .hot import LoadsByStatement
from .models import RevokedReason, UserSession

# Where the id of the row stands in the session data.
ID_KEY = "_sessions_ext"
# When the person last proved who they are, in seconds since 1970.
AUTHENTICATED_KEY = "_sessions_ext_authenticated"

# The store of the request at hand, for code that is not given the request.
current_store: ContextVar["VerifiedStore | None"] = ContextVar("sessions_ext_store", default=None)


def verified(store: Any, request: HttpRequest) -> "VerifiedStore":
    """Make an engine's store a verified one. It stays the same object, so that whoever took
    hold of it before gets verified data as well."""
    if not isinstance(store, VerifiedStore):
        engine_store: Any = type(store)
        store.__class__ = _verified_class(engine_store)
    store.request = request
    return cast("VerifiedStore", store)


@cache
def _verified_class(engine_store: Any) -> type["VerifiedStore"]:
    bases: tuple[Any, ...] = (VerifiedStore, engine_store)
    if _loads_as_django_does(engine_store):
        bases = (VerifiedStore, LoadsByStatement, engine_store)
    return type("SessionStore", bases, {"__module__": engine_store.__module__})


def _loads_as_django_does(engine_store: Any) -> bool:
    if not hasattr(engine_store, "_get_session_from_db"):
        return False
    from django.contrib.sessions.backends.db import SessionStore

    # A project's own engine may keep sessions elsewhere.
    return (
        engine_store._get_session_from_db is vars(SessionStore)["_get_session_from_db"]
        and engine_store.get_model_class() is SessionStore.get_model_class()
    )


class VerifiedStore(SessionBase):
    """Stands before an engine's SessionStore: loading verifies, flushing revokes."""

    request: HttpRequest
    _user: Any = None
    _row: UserSession | None = None

    @property
    def user(self) -> Any:
        """Who is logged in, or None; the first access loads and verifies."""
        self.has_key(auth.SESSION_KEY)
        return self._user

    @property
    def user_session(self) -> UserSession | None:
        """The row of the login, or None; the first access loads and verifies."""
        self.has_key(auth.SESSION_KEY)
        return self._login

    def load(self) -> dict[str, Any]:
        self._session_cache = super().load()
        self.verify()
        return self._session_cache

    def verify(self) -> None:
        """Hold the loaded data against the table, and drop that of a login which ended."""
        shown = getattr(self.request, "user_session", None)
        self._verify()
        if type(shown) is UserSession:  # of a token: the request stays that token's
            self.request.user_session = shown  # type: ignore[attr-defined]

    def _verify(self, recall: bool = True) -> None:
        data = self._session_cache
        if auth.SESSION_KEY not in data:
            data.pop(ID_KEY, None)  # vouches for nobody without a login
        elif ID_KEY not in data:
            self._adopt()
        elif session := UserSession.objects.verify(data[auth.SESSION_KEY], data[ID_KEY], recall):
            self._authenticate(session)
        else:
            self._forget()

    def carry(self, user: Any, session: UserSession | None) -> None:
        """Be the login of this user by this row from now on; of None, nobody's."""
        self._user, self._row = user, session
        self.request.user_session = session  # type: ignore[attr-defined]

    def flush(self) -> None:
        self.has_key(auth.SESSION_KEY)
        if self._row:
            self._end(self._row, RevokedReason.LOGOUT)
        else:
            self._forget()

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError:
            # The payload vanished under this request. If that was the end of the login,
            # there is nothing to save and nothing to tell; else it is Django's to tell.
            if self._row is None or UserSession.objects.verify(self._row.user_id, self._row.pk):
                raise

    async def aload(self) -> dict[str, Any]:
        """See load()."""
        return await sync_to_async(self.load)()

    async def aflush(self) -> None:
        """See flush()."""
        await sync_to_async(self.flush)()

    async def asave(self, must_create: bool = False) -> None:
        """See save()."""
        await sync_to_async(self.save)(must_create)

    @property
    def is_finish_due(self) -> bool:
        """Whether finish() has anything to write; no query."""
        session = self._login
        return session is not None and (session.is_touch_due or self._moved_end(session) is not None)

    def finish(self) -> None:
        """After the view: record activity, and follow a cookie whose end has moved."""
        if session := self._login:
            session.touch(self.request, expires_at=self._moved_end(session))

    def _moved_end(self, session: UserSession) -> datetime | None:
        # Django issues the cookie anew, with a new end, when the data was modified.
        if not self.modified or (end := cookie_end(self)) is None:
            return None
        end = min(end, session.created_at + conf.LIFETIME)
        return end if abs(end - session.expires_at) > conf.TOUCH_INTERVAL else None

    @property
    def _login(self) -> UserSession | None:
        # The row stays known where Django's rules accept nobody, so that a flush ends it.
        return None if self._user is None else self._row

    def _authenticate(self, session: UserSession) -> None:
        self._row = session
        user, reason = user_of(session, self._session_cache.get(auth.BACKEND_SESSION_KEY))
        if user is not None and not self._auth_hash_holds(session, user):
            user, reason = None, RevokedReason.PASSWORD_CHANGE
        if user is not None:
            self.carry(user, session)
        elif session._recalled_hashes is not None:
            self._verify(recall=False)  # the cache may be behind, the database is not
        elif reason:
            self._end(session, reason)

    def _adopt(self) -> None:
        """Start a row for a valid login from before the app was installed. Its id follows from
        the session key, so that requests that arrive together make one row, and so that a
        cookie from before the adoption cannot open the session again once it has ended."""
        key = salted_hmac(ID_KEY, self.session_key or uuid.uuid4().hex, algorithm="sha256")
        user = auth.get_user(self.request)
        if not user.is_authenticated:
            return
        session = UserSession.objects.adopt(
            user,
            uuid.uuid5(uuid.NAMESPACE_OID, key.hexdigest()),
            request=self.request,
            expires_at=cookie_end(self),
        )
        if session is None:
            self._forget()
            return
        self.carry(user, session)
        # Not before the row is sure to stay: a view's transaction may yet roll it back.
        transaction.on_commit(partial(self._keep_id_of, session), using=session._state.db)

    def _keep_id_of(self, session: UserSession) -> None:
        if self._row is session:
            self[ID_KEY] = str(session.pk)

    def _auth_hash_holds(self, session: UserSession, user: Any) -> bool:
        hashes = auth_hashes(session, user)
        current = next(hashes, None)
        if current is None:
            return True
        carried = self._session_cache.get(auth.HASH_SESSION_KEY) or ""
        if carried and constant_time_compare(carried, current):
            return True
        fallbacks = hashes if carried else ()
        if any(constant_time_compare(carried, fallback) for fallback in fallbacks):
            self.cycle_key()
            self[auth.HASH_SESSION_KEY] = current
            return True
        return False

    def _end(self, session: UserSession, reason: str) -> None:
        UserSession.objects.for_user(session.user_id).filter(pk=session.pk).revoke(reason)
        self._forget()

    def _forget(self) -> None:
        self.carry(None, None)
        super().flush()


def cookie_end(store: SessionBase) -> datetime | None:
    """When the cookie will end if it is issued now, LIFETIME from now at the latest;
    None for a cookie that slides with every request."""
    if settings.SESSION_SAVE_EVERY_REQUEST:
        return None
    age = timedelta(seconds=min(max(store.get_expiry_age(), 1), conf.LIFETIME.total_seconds()))
    return timezone.now() + age

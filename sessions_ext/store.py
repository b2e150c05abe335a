"""A session store in front of an engine's own. It gives out the data of a login only after verifying its
row, whoever asks: a view, another package, a websocket, a copy of the store."""

from functools import cache, partial
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.contrib import auth, messages
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import LazyObject

from . import authentication, endings
from .adoption import adopt
from .cookies import LeavesCookie, RenewsKey
from .decorators import twin
from .lifetime import cookie_end
from .models import UserSession
from .payloads import LoadsByStatement, loads_as_django_does
from .reasons import RevokedReason
from .requests import (
    SessionOf,
    at_hand,
    carries_token,
    make_anonymous,
    note_login,
    request_at_hand,
    request_of,
)

__all__ = ["VerifiedStore", "verified"]

# The keys in the session data that hold the row's id and its stamp, see authentication.stamp().
ID_KEY = "_sessions_ext"
STAMP_KEY = "_sessions_ext_authenticated"


@cache
def verified(engine_store: Any) -> type["VerifiedStore"]:
    """A subclass of an engine's SessionStore, with the same tables and keys, where loading verifies and
    flushing revokes. A project's own engine is a module with

        SessionStore = verified(TheirSessionStore)
    """
    if issubclass(engine_store, VerifiedStore):
        return cast("type[VerifiedStore]", engine_store)
    bases: tuple[Any, ...] = (VerifiedStore, engine_store)
    if loads_as_django_does(engine_store):
        bases = (VerifiedStore, LoadsByStatement, engine_store)
    # Django signs the data with a salt that has the qualified name in it.
    names = {name: getattr(engine_store, name) for name in ("__module__", "__qualname__")}
    return type(engine_store.__name__, bases, {**names, "engine_store": engine_store})


def verified_store(request: HttpRequest) -> Any:
    """The store in `request.session`, verified. Anything that is not a store stays as it is."""
    return as_verified(request.session)


def as_verified(store: Any) -> Any:
    """Make an engine's store a verified one. It stays the same object, so that whoever took it before
    gets verified data as well. Anything that is not a store stays as it is."""
    if isinstance(store, LazyObject):
        store.__class__  # noqa: B018  # evaluates it
        store = vars(store)["_wrapped"]
    if isinstance(store, SessionBase) and not isinstance(store, VerifiedStore):
        is_accessed = vars(store).pop("accessed", False)
        engine_store: Any = type(store)
        store.__class__ = verified(engine_store)
        store.accessed = is_accessed
    return store


def attach_user_session(request: Any) -> None:
    """Make `request.user_session` lazy: it is resolved from `request.session` when it is read next."""
    request.user_session = SessionOf(request, session_of)


def user_of(request: HttpRequest) -> Any:
    """The user who is logged in by `request.session`, or None."""
    with at_hand(request):
        store = verified_store(request)
        return store.user if isinstance(store, VerifiedStore) else authentication.djangos_user(store)


def session_of(request: HttpRequest) -> UserSession | None:
    """The row of the login in `request.session`, or None."""
    with at_hand(request):
        store = verified_store(request)
        return store.user_session if isinstance(store, VerifiedStore) else None


class VerifiedStore(RenewsKey, LeavesCookie):
    """Loading verifies, flushing revokes. Loading is all or nothing: if verifying fails, the store
    keeps no data."""

    engine_store: Any
    _login: authentication.Login | None = None
    _is_verified = False  # data that were copied, or loaded by the engine's own class, are not verified
    _is_undone = False
    _logs_out: Any = None  # the request whose token is being logged out, until the flush that ends this
    _ended: endings.SessionEnded | None = None
    replaced_login: authentication.Login | None = None  # the one that this request has flushed
    has_started = False  # a login of this request made the row
    waits_for_cookie = False  # a login of this request has no row before its cookie comes back
    new_hash: str | None = None  # this request has changed the password: the auth hash to carry since
    has_changed_password = is_ended_here = False  # what this request has done
    is_settled = True  # nobody has to ask whether the login is superseded

    @property
    def user(self) -> Any:
        """The user who is logged in, or None. The first access loads and verifies."""
        login = self._login_of_data()
        if login is None and auth.SESSION_KEY in self._session_cache:
            return authentication.djangos_user(
                self
            )  # other code wrote it; it has its row at the next request
        return login.user if login else None

    @property
    def user_session(self) -> UserSession | None:
        """The row of the login, or None. The first access loads and verifies."""
        login = self._login_of_data()
        return login.session if login and login.user is not None else None

    @property
    def ended(self) -> endings.SessionEnded | None:
        """Why the login that the browser had has ended, as far as the browser may know; None if it has
        not, and from its next request on. The first access loads and verifies."""
        self._get_session()
        return self._ended

    @property
    def login(self) -> authentication.Login | None:
        """The login if it was verified already, or None. Loads nothing."""
        return self._login if self._is_verified else None

    @property
    def has_old_hash(self) -> bool:
        """Whether this request has changed the password, and not renewed its own auth hash."""
        return self.new_hash is not None and self.get(auth.HASH_SESSION_KEY) != self.new_hash

    def is_superseded(self) -> bool:
        """Whether the login of this request has ended meanwhile, or the person has logged in again,
        which makes a new session key. One query; none where nobody is logged in."""
        if self._login is None:
            return False
        session = self._login.session
        stored = UserSession.objects.verify(session.user_id, session.pk)
        return stored is None or stored.authenticated_at != session.authenticated_at

    def leave_cookie(self) -> None:
        """Keep this late answer from saving the session and from changing the browser's cookie."""
        self._forget()
        self._is_late = True

    def set_login(self, session: UserSession, user: Any) -> None:
        """Make this store the login of this user by this row."""
        self[ID_KEY] = str(session.pk)
        self._carry_proof(session)
        self._login = authentication.Login(session, user)
        self._is_late = self.is_ended_here = self.has_changed_password = False
        self.new_hash = None
        note_login(self)

    def renew_login(self, session: UserSession) -> None:
        """Carry the latest proof, under a new session key."""
        self.cycle_key()
        self._carry_proof(session)

    def _carry_proof(self, session: UserSession) -> None:
        # A copy from before the latest proof stays one, whatever a page does to its data or its key.
        older = self.get(STAMP_KEY, 0)
        self[STAMP_KEY] = authentication.stamp(session) if session.carries_latest_proof else older

    def ignore_next_flush(self, request: Any) -> None:
        """Ignore the next flush, and make the request anonymous by it. Django's logout() always flushes
        `request.session`, even where it logs out a token, whose session is another one."""
        self._logs_out = request

    def undo_login(self) -> None:
        """Make this store nobody's again, with the data from before login()."""
        for key in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY, ID_KEY, STAMP_KEY):
            self.pop(key, None)
        self._login, self._is_undone = None, True

    def load(self) -> dict[str, Any]:
        key = self.session_key
        self._session_cache = super().load()
        self._is_unknown = key is not None and self.session_key is None
        self._verify(vars(self).pop("hinted", None))
        return self._session_cache

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        if not self._is_verified:
            if hasattr(self, "_session_cache"):
                self._verify()
            elif self.session_key is None:
                self._is_verified = True  # there is nothing to verify
        return super()._get_session(no_load)  # type: ignore[misc, no-any-return]

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        if self._is_verified or (self.session_key is None and not hasattr(self, "_session_cache")):
            return self._get_session(no_load)
        return await sync_to_async(self._get_session)(no_load)

    _session = property(_get_session)

    def flush(self) -> None:
        if self._logs_out is not None:
            make_anonymous(self._logs_out)
            self._logs_out = None
            return
        self._login_of_data()
        had_ended = self._login is not None and not self._login.session.revoke(RevokedReason.LOGOUT)
        self.replaced_login = None if had_ended else self._login
        self._forget()
        # A logout deletes the cookie, but not the newer one of a later login.
        self._is_unknown, self._is_late = False, self._is_late or (had_ended and not self.is_ended_here)
        request = request_of(self)
        if request is not None and not carries_token(request):
            attach_user_session(request)

    def cycle_key(self) -> None:
        self._get_session()
        super().cycle_key()
        if self._login:
            self._carry_proof(self._login.session)
        self.new_hash = None  # update_session_auth_hash() begins with a new key

    def save(self, must_create: bool = False) -> None:
        is_at_hand = request_of(self) is not None
        if not (must_create or is_at_hand or self.is_settled) and self.is_superseded():
            raise UpdateError  # written after the middleware has looked
        try:
            super().save(must_create)
        except UpdateError:
            if self._is_undone:  # with the transaction in which the key was made
                self.create()
            elif is_at_hand and self.is_superseded():
                self.leave_cookie()  # there is nothing to save
            else:
                raise
        if self.old_key and not is_at_hand:
            self.end_renewal(is_done=True)

    aload = twin(load)  # type: ignore[arg-type]
    aflush = twin(flush)  # type: ignore[arg-type]
    acycle_key = twin(cycle_key)  # type: ignore[arg-type]
    asave = twin(save)  # type: ignore[arg-type]

    def __reduce__(self) -> Any:
        # A copy verifies for itself.
        left_out = {"_login", "_is_verified", "has_started", "old_key", "new_hash"}
        left_out |= {"waits_for_cookie", "replaced_login", "_ended", "_logs_out"}
        return _blank, (self.engine_store,), {k: v for k, v in vars(self).items() if k not in left_out}

    def _login_of_data(self) -> authentication.Login | None:
        data = self._get_session()
        if auth.SESSION_KEY not in data:  # other code has emptied it
            return None
        held = self._login and str(self._login.session.pk)
        if data.get(ID_KEY, held) != held:  # or has copied it from elsewhere
            self._verify()
        return self._login

    def _verify(self, hinted: UserSession | None = None) -> None:
        """Check the loaded data against the table, and drop the data of a login that has ended."""
        self._is_verified, self._login = True, None
        data = self._session_cache
        try:
            if auth.SESSION_KEY not in data:
                data.pop(ID_KEY, None)  # vouches for nobody without a login
            elif ID_KEY in data:
                self._hold_against_row(data, hinted)
            else:
                self._adopt()
        except BaseException:
            vars(self).pop("_session_cache", None)
            self._is_verified, self._login = False, None
            raise

    def _hold_against_row(self, data: dict[str, Any], hinted: UserSession | None) -> None:
        holds = partial(constant_time_compare, data.get(auth.HASH_SESSION_KEY) or "")
        row = data[auth.SESSION_KEY], data[ID_KEY]
        backend, stamp = data.get(auth.BACKEND_SESSION_KEY), data.get(STAMP_KEY)
        login = authentication.verify(*row, backend, holds, stamp, hinted=hinted)
        if login is None:
            self._forget()
            if request_at_hand():
                ended, self._is_late = endings.of_login(*row, holds)
                self._tell(ended)
        elif login.ends:
            login.session.revoke(login.ends)
            self._forget()
            self._tell(endings.of_session(login.session, holds))
        elif login.is_outdated:
            self._forget()
            self._is_late = True
        else:
            # Kept even where Django's rules accept nobody, so that a flush can end the session.
            self._login = login
            note_login(self)
            request = request_of(self)
            # A new key is for those who can give it to the browser. A copy or a websocket cannot.
            if login.renewed_hash and getattr(request, "may_set_cookie", request is not None):
                self.cycle_key()
                self[auth.HASH_SESSION_KEY] = login.renewed_hash

    def _tell(self, ended: endings.SessionEnded | None) -> None:
        """Keep why the login has ended, and tell the browser by a message on the next page that shows
        these."""
        self._ended, request = ended, request_at_hand()
        if ended and request and request.session is self:
            messages.info(request, str(ended), fail_silently=True)

    def _adopt(self) -> None:
        request = request_of(self)
        if request is None or self.waits_for_cookie:
            self._is_verified = False  # nobody knows who is calling; the next one may
            return
        user = authentication.djangos_user(self)
        if user is None:
            return
        session = adopt(user, request, self.session_key, cookie_end(self))
        if session is None:
            self._forget()
            return
        self._login = authentication.Login(session, user)
        note_login(self)
        # Only when the row is sure to stay: the view's transaction may still roll it back.
        transaction.on_commit(partial(self._keep, session), using=session._state.db)

    def _keep(self, session: UserSession) -> None:
        if self._login and self._login.session is session:
            self.set_login(session, self._login.user)

    def _forget(self) -> None:
        self._login = None
        super().flush()
        if self.old_key:
            self.end_renewal(is_done=True)


def _blank(engine_store: Any) -> VerifiedStore:
    made = verified(engine_store)
    return made.__new__(made)

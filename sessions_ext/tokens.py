"""Access and refresh tokens (JWT, RFC 7519) for the session of a mobile app or an SPA. They name
the row, which stays the only truth: nothing about a token is kept anywhere else."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import uuid4

import jwt
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.encoding import force_bytes
from django.views.decorators.debug import sensitive_variables

from . import activity, authentication, endings, signals
from .clients import client_ip
from .conf import conf
from .models import RevokedReason, UserSession
from .observers import Sighting, observe
from .querysets import rotate_refresh_token
from .requests import later

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["TokenPair", "aconfirm", "alogin", "arefresh", "averify", "confirm", "login", "refresh", "verify"]

logger = logging.getLogger("sessions_ext")

P = ParamSpec("P")
R = TypeVar("R")

ACCESS, REFRESH = "access", "refresh"
CLAIMS = ["sub", "sid", "jti", "iat", "exp", "type", "auth", "stamp"]
LOGIN_ATTRIBUTES = ("user", "auser", "user_session", "auser_session")
# PyJWT decodes leniently. Here a signature has one spelling, and nothing is read that is too long to be one
# of our tokens.
_SPELLING = re.compile(r"[\w-]{1,100}\.[\w-]{1,4000}\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)


@dataclass(frozen=True)
class TokenPair:
    """The tokens of a session, and for how many seconds the access token is good."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    session: UserSession


@sensitive_variables()
def login(request: HttpRequest, user: "AbstractBaseUser", backend: str | None = None) -> TokenPair:
    """django.contrib.auth.login() for a client that keeps tokens instead of a cookie: starts a
    session, makes the request that session's, and sends `user_logged_in`.

    `user` comes from authenticate(), or `backend` names the dotted path of a configured one.
    Raises SessionLimitReached where ON_LIMIT denies the login, ValueError for an unknown backend.
    """
    configured = settings.AUTHENTICATION_BACKENDS
    only = configured[0] if len(configured) == 1 else ""
    backend_path = backend or str(getattr(user, "backend", only))
    if backend_path not in configured:
        raise ValueError("Authenticate the user, or name one of the AUTHENTICATION_BACKENDS.")
    before = {name: value for name, value in vars(request).items() if name in LOGIN_ATTRIBUTES}
    try:
        # A receiver that raises refuses the login, and then there is no session either.
        with transaction.atomic(using=router.db_for_write(UserSession)):
            impersonator = authentication.impersonator_of(request, user)
            session = UserSession.objects.start(
                user, request=request, refresh_token_id=uuid4(), impersonator=impersonator
            )
            set_login(request, session)
            user_logged_in.send(sender=user.__class__, request=request, user=user, user_session=session)
    except BaseException:
        for name in LOGIN_ATTRIBUTES:
            vars(request).pop(name, None)
        vars(request).update(before)
        raise
    return _mint(session, backend_path)


@sensitive_variables()
def verify(token: str) -> UserSession | None:
    """The active session of an access token, with its user joined; None for anything else. One query: a
    revoke, a new password or a disabled account takes effect at once."""
    claims = _decode(token, ACCESS)
    login = claims and _login(claims, may_be_cached=True)
    return login[0] if login else None


@sensitive_variables()
def authenticate(request: HttpRequest, token: str) -> UserSession | None:
    """Verify an access token, make the request that of its session and user, and record its activity after
    the request's transaction, so that the row is not locked during it. None for anything else. One query;
    one more to record activity, once per TOUCH_INTERVAL."""
    session = verify(token)
    if session is None:
        return None
    set_login(request, session)
    if activity.is_due(session):

        def record() -> None:
            activity.record(session, request)

        transaction.on_commit(record, using=session._state.db, robust=True)
    return session


@sensitive_variables()
def refresh(token: str, request: HttpRequest | None = None) -> TokenPair | None:
    """The next pair for a refresh token, which is then used up; None for anything else.

    A token that was used before is a replay and ends the session (RFC 9700, 4.14.2). There is one
    exception: the token that the current one replaced within REFRESH_GRACE gets the current pair again.
    Answer None with a response: under ATOMIC_REQUESTS, an exception that leaves the view would also
    undo the end of the session.
    """
    outcome, pair = _refresh(token, request)
    signals.send_after_commit(
        signals.refresh_token_used, UserSession, UserSession.objects.primary.db, outcome=outcome
    )
    return pair


@sensitive_variables()
def _refresh(token: str, request: HttpRequest | None) -> tuple[str, TokenPair | None]:
    claims = _decode(token, REFRESH)
    login = claims and _login(claims)
    if not claims or not login:
        return "refused", None
    session, backend_path = login
    if claims["jti"] == str(session.refresh_token_id):
        new_id = uuid4()
        if rotate_refresh_token(session, new_id):
            activity.record(session, request)
            return "rotated", _mint(session, backend_path, claims["stamp"])
        # Another request was first, or the session ended meanwhile.
        login = _login(claims)
        if not login:
            return "refused", None
        session, backend_path = login
    if claims["jti"] == str(session.previous_refresh_token_id) and _is_within_grace(session):
        return "repeated", _mint(session, backend_path, claims["stamp"])
    if session.revoke(RevokedReason.REFRESH_REUSE):
        logger.warning("session %s of user %s ended: refresh token used twice", session.pk, session.user_id)
        seen = session.last_activity_at, session.last_ip_address
        observe(session, Sighting(request, timezone.now(), client_ip(request), *seen, is_replay=True))
        return "replayed", None
    return "refused", None


@sensitive_variables()
def confirm(request: HttpRequest) -> TokenPair | None:
    """The next pair for the session whose access token came with the request, and whose person has just
    proved who they are. Tokens from before stay valid and are not fresh; the refresh token among them is
    used up. None where the session has ended meanwhile, or a refresh was first. Three statements."""
    here: UserSession = request.user_session  # type: ignore[attr-defined]
    claims = _decode(bearer_token(request), ACCESS)
    session = claims and UserSession.objects.verify(here.user_id, here.pk)
    if not claims or not session or not rotate_refresh_token(session, uuid4()):
        return None
    if not authentication.renew(session):
        return None
    set_login(request, session)
    backends = {_digest(path): path for path in settings.AUTHENTICATION_BACKENDS}
    backend_path = backends[claims["auth"].partition(".")[0]]
    return _mint(session, backend_path)


async def aconfirm(request: HttpRequest) -> TokenPair | None:
    """See confirm()."""
    return await sync_to_async(confirm)(request)


@sensitive_variables()
def why_ended(token: str, type: str = ACCESS) -> endings.SessionEnded | None:
    """Why the session of a token has ended, for whoever presents the token: one that we signed, that has
    not expired and carries the right session auth hash. None for anything else. One query."""
    claims = _decode(token, type)
    if claims is None:
        return None
    return endings.of_login(claims["sub"], claims["sid"], _holds(claims))[0]


async def alogin(request: HttpRequest, user: "AbstractBaseUser", backend: str | None = None) -> TokenPair:
    """See login()."""
    return await sync_to_async(login)(request, user, backend)


@sensitive_variables()
async def averify(token: str) -> UserSession | None:
    """See verify()."""
    return await sync_to_async(_hiding(verify, token))()


@sensitive_variables()
async def arefresh(token: str, request: HttpRequest | None = None) -> TokenPair | None:
    """See refresh()."""
    return await sync_to_async(_hiding(refresh, token, request))()


def _hiding(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """The call without arguments, so that no frame on the way to a thread shows a token."""

    @sensitive_variables()
    def call() -> R:
        return function(*args, **kwargs)

    return call


def bearer_token(request: HttpRequest) -> str | None:
    """What the Authorization header presents (RFC 6750); None where it presents no bearer token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def challenge(request: HttpRequest) -> str:
    """The WWW-Authenticate of an answer 401 (RFC 6750, 3): no error code where no token was presented."""
    return "Bearer" if bearer_token(request) is None else 'Bearer error="invalid_token"'


def set_login(request: Any, session: UserSession) -> None:
    """Set a request's user and session to those of a verified session."""
    request.user, request.auser = session.user, partial(later, session.user)
    request.user_session, request.auser_session = session, partial(later, session)


def _is_within_grace(session: UserSession) -> bool:
    if not (conf.REFRESH_GRACE and session.refresh_token_id and session.refreshed_at):
        return False
    return timezone.now() < session.refreshed_at + conf.REFRESH_GRACE


def _login(claims: dict[str, Any], *, may_be_cached: bool = False) -> tuple[UserSession, str] | None:
    """The active session that the claims name, and the path of its login's backend; None if the login
    is not valid."""
    backends = {_digest(path): path for path in settings.AUTHENTICATION_BACKENDS}
    backend = claims["auth"].partition(".")[0]
    if backend not in backends:
        return None
    login = authentication.verify(
        claims["sub"],
        claims["sid"],
        backends[backend],
        _holds(claims),
        claims["stamp"],
        may_be_cached=may_be_cached,
    )
    if login is None or login.user is None:
        if login and login.ends:
            login.session.revoke(login.ends)
        return None
    login.user.backend = backends[backend]  # as django.contrib.auth.authenticate() leaves it
    login.session._meta.get_field("user").set_cached_value(login.session, login.user)
    return login.session, backends[backend]


def _holds(claims: dict[str, Any]) -> Callable[[str], bool]:
    """Whether the claims carry a session auth hash."""
    auth_hash = claims["auth"].partition(".")[2]
    return lambda known: constant_time_compare(auth_hash, _digest(known))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _mint(session: UserSession, backend_path: str, stamp: int | None = None) -> TokenPair:
    now = timezone.now()
    issued = _seconds(now)
    ends = _seconds(session.expires_at)
    expires = min(_seconds(now + conf.ACCESS_TOKEN_LIFETIME), ends)
    auth_hash = next(authentication.auth_hashes(session.user), "")
    claims = {
        "sub": session._meta.get_field("user").value_to_string(session),
        "sid": str(session.pk),
        "iat": issued,
        "auth": f"{_digest(backend_path)}.{_digest(auth_hash)}",
        # A refresh keeps it, so that it makes no old token fresh.
        "stamp": authentication.stamp(session) if stamp is None else stamp,
    }
    access = _encode(claims, type=ACCESS, jti=str(uuid4()), exp=expires)
    refresh = _encode(claims, type=REFRESH, jti=str(session.refresh_token_id), exp=ends)
    return TokenPair(access, refresh, expires - issued, session)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _encode(claims: dict[str, Any], **more: Any) -> str:
    return jwt.encode(claims | more, next(_keys()), algorithm="HS256")


def _decode(token: Any, type: str) -> dict[str, Any] | None:
    """The claims of a token of that type which we signed and which has not expired."""
    if not isinstance(token, str) or not _SPELLING.fullmatch(token):
        return None
    for key in _keys():
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["HS256"],
                # The clock of the server that issued it may be a moment ahead.
                options={"require": CLAIMS, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            continue
        # The others are what PyJWT before 2.15 raises for claims of another kind.
        except (jwt.InvalidTokenError, TypeError, OverflowError, RecursionError):
            return None
        return claims if claims["type"] == type and _are_of_their_kinds(claims) else None
    return None


def _are_of_their_kinds(claims: dict[str, Any]) -> bool:
    texts = [claims[name] for name in ("sub", "sid", "jti", "auth")]
    return (
        all(isinstance(text, str) for text in texts)
        and claims["auth"].isascii()
        and all(type(claims[name]) is int for name in ("iat", "exp", "stamp"))
    )


def _keys() -> Iterator[bytes]:
    # Derived, so that a token that another library signed with the same key is not one of ours.
    for key in (conf.SIGNING_KEY or settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        yield hashlib.sha256(b"sessions_ext.tokens" + force_bytes(key)).digest()

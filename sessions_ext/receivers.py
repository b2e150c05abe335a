from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import Q
from django.db.models.signals import post_save, pre_delete, pre_save
from django.http import HttpRequest

from . import authentication, make_room, step_up, verdict_cache
from .conf import conf
from .db.expressions import Earlier
from .db.locks import locked_values
from .db.updates import update
from .exceptions import SessionLimitReached
from .lifetime import cookie_end
from .mail import send_mail_about
from .models import RevokedReason, UserSession
from .new_device import is_new_device, is_one_mail_too_many
from .payloads import hint_of
from .querysets import by_shard
from .requests import carries_token, has_lost_token, request_at_hand
from .signals import rows_revoked, session_started
from .store import ID_KEY, STAMP_KEY, VerifiedStore, attach_user_session

# What a save does to the password: CHANGED is a new one, RENEWED a new hash of the same one.
CHANGED, RENEWED = "changed", "renewed"


def connect() -> None:
    user_logged_in.connect(on_login, dispatch_uid="sessions_ext.login")
    user_logged_out.connect(on_logout, dispatch_uid="sessions_ext.logout")
    rows_revoked.connect(on_rows_revoked, dispatch_uid="sessions_ext.revoked")
    session_started.connect(on_session_started, dispatch_uid="sessions_ext.started")
    if apps.is_installed("allauth.account"):
        from allauth.account import signals as allauth_signals

        allauth_signals.authentication_step_completed.connect(
            on_step_completed, dispatch_uid="sessions_ext.step"
        )
    user_key = key_of(auth.get_user_model())
    for model in apps.get_models():
        if issubclass(model, UserSession):
            post_save.connect(on_session_saved, sender=model, dispatch_uid="sessions_ext.session_saved")
        # The user model's proxies, and the models whose tables it inherits, send signals of their own.
        if key_of(model) == user_key:
            pre_save.connect(before_user_saved, sender=model, dispatch_uid="sessions_ext.before")
            pre_delete.connect(before_user_deleted, sender=model, dispatch_uid="sessions_ext.deleted")
            post_save.connect(on_user_saved, sender=model, dispatch_uid="sessions_ext.saved")


def on_login(
    sender: Any,
    request: HttpRequest | None,
    user: Any,
    user_session: UserSession | None = None,
    **kwargs: Any,
) -> None:
    """Start the row of a cookie login. If the same user logs in again in the same browser, keep the row
    and make a new session key (ASVS 5.0, 7.2.4). A login by tokens comes with its `user_session`. If
    the row is refused, the login is undone."""
    request = request or request_at_hand()
    store: Any = getattr(request, "session", None)
    if request is None or user_session or not _carries(store, user):
        return
    if _comes_with_each_request(store):
        store.waits_for_cookie = True
        return
    try:
        impersonator = authentication.impersonator_of(request, user)
        session = _row_of(store, user, impersonator) or UserSession.objects.start(
            user,
            request=request,
            expires_at=cookie_end(store),
            impersonator=impersonator,
            _hint=hint_of(store),
        )
    except BaseException as error:
        _undo_login(request, store)
        if isinstance(error, SessionLimitReached) and error.limit:
            error.token = make_room.token_for(user)
        raise
    if isinstance(store, VerifiedStore):
        store.has_started = store.has_started or store.login is None or store.login.session != session
        store.set_login(session, user)
    else:
        store[ID_KEY], store[STAMP_KEY] = str(session.pk), authentication.stamp(session)
    attach_user_session(request)


def _row_of(store: Any, user: Any, impersonator: Any) -> UserSession | None:
    """The row to keep if the same user logs in again. Its session key and `authenticated_at` become
    new. Where somebody acts as the user, or has until now, the row ends, and the login has one of its own."""
    if isinstance(store, VerifiedStore):
        current = store.login and store.login.session.pk
    else:
        current = store.get(ID_KEY)
    if not current:
        return None
    store.cycle_key()
    session = UserSession.objects.verify(user.pk, current)
    if impersonator or (session and session.is_impersonated):
        is_ended = session is not None and session.revoke(RevokedReason.LOGOUT)
        if impersonator and not is_ended:
            raise PermissionDenied("The session to act from has ended meanwhile.")
        return None
    return session if session and authentication.renew(session) else None


def _comes_with_each_request(store: Any) -> bool:
    # REMOTE_USER logs in at each request. A client that keeps the cookie gets a row at its next
    # request.
    path = store.get(auth.BACKEND_SESSION_KEY)
    is_known = path in settings.AUTHENTICATION_BACKENDS
    return is_known and isinstance(auth.load_backend(path), RemoteUserBackend)


def _undo_login(request: Any, store: Any) -> None:
    """Leave the browser as it was before login(): with its data, and logged out."""
    if isinstance(store, VerifiedStore):
        store.undo_login()
    else:
        for key in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY, ID_KEY):
            store.pop(key, None)

    async def auser() -> AnonymousUser:
        return AnonymousUser()

    request.user = AnonymousUser()
    request.auser = auser
    attach_user_session(request)


def on_logout(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Revoke the row when a token is logged out, or a cookie outside of the middleware. Inside the
    middleware, the flush revokes it."""
    store: Any = getattr(request, "session", None)
    if request is not None and carries_token(request):
        session: Any = request.user_session  # type: ignore[attr-defined]
        session.revoke(RevokedReason.LOGOUT)
        if isinstance(store, VerifiedStore):
            store.ignore_next_flush(request_at_hand() or request)
        return
    if isinstance(store, VerifiedStore):
        if has_lost_token(request):  # logged out twice: the browser's session is still another one
            store.ignore_next_flush(request_at_hand() or request)
        return
    if not _carries(store, user):
        return
    if session := UserSession.objects.verify(user.pk, store.get(ID_KEY)):
        session.revoke(RevokedReason.LOGOUT)


def on_step_completed(
    sender: Any, request: HttpRequest, user: Any, reauthenticated: bool = False, **kwargs: Any
) -> None:
    """Count a proof that allauth has asked for, by its page or its API: of a password or a second factor."""
    if reauthenticated and request.user.pk == user.pk:
        step_up.reauthenticated(request)


def on_rows_revoked(sender: Any, session_ids: list[Any], **kwargs: Any) -> None:
    """Note that a request ends its own session. A logout after that is not a late one."""
    store = getattr(request_at_hand(), "session", None)
    login = store.login if isinstance(store, VerifiedStore) else None
    if login and login.session.pk in session_ids:
        store.is_ended_here = True  # type: ignore[union-attr]


def on_session_saved(sender: Any, instance: UserSession, created: bool, using: str, **kwargs: Any) -> None:
    if not created:
        verdict_cache.invalidate({instance.user_id}, using)


def on_session_started(
    sender: Any, session: UserSession, request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Tell the user of a sign-in from a new device."""
    if conf.NEW_DEVICE_EMAIL and is_new_device(session) and not is_one_mail_too_many(session):
        send_mail_about(session, request)


def before_user_saved(
    sender: Any, instance: Any, raw: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    """Find out whether this save changes the password. One query for a save that may."""
    verdict_cache.refresh_unchanged(instance, using, update_fields)
    if raw or instance._state.adding or not _saves(sender, "password", update_fields):
        return
    stored = sender._base_manager.using(using).filter(pk=instance.pk).values_list("password", flat=True)
    if instance.password not in stored:
        is_renewal = update_fields and [*update_fields] == ["password"] and _renews_hash(instance, *stored)
        instance._sessions_ext_password = RENEWED if is_renewal else CHANGED
        store = getattr(request_at_hand(), "session", None)
        if is_renewal and isinstance(store, VerifiedStore):
            store.has_key(auth.SESSION_KEY)  # verifies while the hash that it carries is still valid


def on_user_saved(
    sender: Any, instance: Any, created: bool, raw: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    """End a user's sessions when the password is changed or the account disabled. The session that
    makes the change is spared for now, but its device is no longer trusted. Its auth hash decides
    whether it lives on."""
    password = vars(instance).pop("_sessions_ext_password", None)
    sessions = UserSession.objects.for_user(instance).using(using)
    if created:
        return
    verdict_cache.invalidate({instance.pk}, using)
    if raw or using != router.db_for_write(UserSession):
        return
    if password == CHANGED:
        if store := _store_at_hand(instance):
            session = store.login.session
            session.untrust()
            authentication.renew(session)
            store.has_changed_password = True
            store.new_hash = next(authentication.auth_hashes(instance), None)
            sessions = sessions.exclude(pk=session.pk)
        sessions.revoke(RevokedReason.PASSWORD_CHANGE)
    elif password == RENEWED:
        if store := _store_at_hand(instance):
            # The password was given in this browser, so this session goes on.
            store[auth.HASH_SESSION_KEY] = instance.get_session_auth_hash()
            sessions = sessions.exclude(pk=store.login.session.pk)
        # Django signs the other devices out, because they carry the old auth hash. But nobody has
        # changed the password: another stamp makes them outdated logins instead of revoked ones.
        update(sessions.active(), authenticated_at=Earlier("authenticated_at", timedelta(microseconds=1)))
        verdict_cache.invalidate({instance.pk}, using)
    elif _saves(sender, "is_active", update_fields) and not instance.is_active and not _may_log_in(instance):
        sessions.revoke(RevokedReason.USER_DISABLED)


def _store_at_hand(user: Any) -> Any:
    """The session store of the request at hand, if it holds a login of this user."""
    store = getattr(request_at_hand(), "session", None)
    login = store.login if isinstance(store, VerifiedStore) else None
    return store if login and login.session.user_id == user.pk else None


def _renews_hash(user: Any, *stored: str) -> bool:
    """Whether this save comes from Django's check_password(), which hashes the same password again if
    the old hash has another algorithm or fewer iterations."""
    if getattr(user, "_password", None) is not None or not is_password_usable(user.password):
        return False
    try:
        preferred, hasher = get_hasher(), identify_hasher(stored[0])
    except (ValueError, IndexError):
        return False
    return hasher.algorithm != preferred.algorithm or preferred.must_update(stored[0])


def before_user_deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Lock the rows that go with the user in the order in which a revoke locks them. Otherwise the two
    may deadlock. Django deletes within a transaction. Among the rows are those of others, as whom the user
    acts."""
    verdict_cache.invalidate({instance.pk}, using)
    if store := _store_at_hand(instance):
        store.is_ended_here = True
    going = UserSession.objects.using(using).filter(Q(user=instance.pk) | Q(impersonator=instance.pk))
    users = {user_id for each in by_shard(going) for _, user_id in locked_values(each, "user_id")}
    verdict_cache.invalidate(users - {instance.pk}, using)


def key_of(model: Any) -> Any:
    """The primary key field of a model, or of the parent model that it links to."""
    key = model._meta.pk
    while key.remote_field and key.remote_field.parent_link:
        key = key.target_field
    return key


def _saves(model: Any, field: str, update_fields: Any) -> bool:
    return hasattr(model, field) and (update_fields is None or field in update_fields)


def _carries(store: Any, user: Any) -> bool:
    """Whether the data of a session store holds a login of this user."""
    return (
        isinstance(store, SessionBase)
        and user is not None
        and key_of(user) == key_of(auth.get_user_model())  # not of another model, by a backend of its own
        and store.get(auth.SESSION_KEY) == user._meta.pk.value_to_string(user)
    )


def _may_log_in(user: Any) -> bool:
    # Some backends accept users who are not active (AllowAllUsersModelBackend).
    return any(
        backend.user_can_authenticate(user)
        for backend in auth.get_backends()
        if hasattr(backend, "user_can_authenticate")
    )

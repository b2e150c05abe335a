from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.db.models.signals import post_save
from django.http import HttpRequest

from .exceptions import SessionLimitReached
from .models import RevokedReason, UserSession
from .stores import ID_KEY, VerifiedStore, cookie_end, current_store


def connect() -> None:
    user_logged_in.connect(on_login, dispatch_uid="sessions_ext.login")
    user_logged_out.connect(on_logout, dispatch_uid="sessions_ext.logout")
    post_save.connect(on_user_saved, sender=settings.AUTH_USER_MODEL, dispatch_uid="sessions_ext.user")


def on_login(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Start the row of a cookie login, or keep the row there is when it is the same user who
    authenticates again in the same browser (with a new session key: ASVS 5.0, 7.2.4)."""
    store: Any = getattr(request, "session", None)
    if request is None or not _carries(store, user):
        return  # a login that no cookie carries, a token's say, has its row from elsewhere
    current = store._user_session if isinstance(store, VerifiedStore) else None
    if current and UserSession.objects.verify(user.pk, current.pk):
        store.cycle_key()
        return
    try:
        session = UserSession.objects.start(user, request=request, expires_at=cookie_end(store))
    except SessionLimitReached:
        for key in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY):
            store.pop(key, None)
        request.user = AnonymousUser()
        raise
    if isinstance(store, VerifiedStore):
        store.begin(session, user)
    else:
        store[ID_KEY] = str(session.pk)


def on_logout(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Revoke the row of a logout outside of the middleware; within it the flush does so."""
    store: Any = getattr(request, "session", None)
    if isinstance(store, VerifiedStore) or not _carries(store, user):
        return
    if session := UserSession.objects.verify(user.pk, store.get(ID_KEY)):
        UserSession.objects.for_user(user).filter(pk=session.pk).revoke(RevokedReason.LOGOUT)


def on_user_saved(
    sender: Any, instance: Any, created: bool, raw: bool, update_fields: Any = None, **kwargs: Any
) -> None:
    """End a user's sessions when the password is changed or the account disabled. The session
    that makes the change is spared: whether it survives is for its auth hash to say."""
    if created or raw:
        return
    saved = {"password", "is_active"}.intersection(update_fields or {"password", "is_active"})
    sessions = UserSession.objects.for_user(instance)
    # set_password() leaves the raw password there until the save is over.
    if "password" in saved and getattr(instance, "_password", None) is not None:
        store = current_store.get()
        if store and store._user_session:
            sessions = sessions.exclude(pk=store._user_session.pk)
        sessions.revoke(RevokedReason.PASSWORD_CHANGE)
    elif "is_active" in saved and not instance.is_active and not _may_log_in(instance):
        sessions.revoke(RevokedReason.USER_DISABLED)


def _carries(store: Any, user: Any) -> bool:
    """Whether the data of a session store holds a login of this user."""
    return (
        isinstance(store, SessionBase)
        and user is not None
        and store.get(auth.SESSION_KEY) == user._meta.pk.value_to_string(user)
    )


def _may_log_in(user: Any) -> bool:
    # Some backends accept users who are not active (AllowAllUsersModelBackend).
    return any(
        backend.user_can_authenticate(user)
        for backend in auth.get_backends()
        if hasattr(backend, "user_can_authenticate")
    )

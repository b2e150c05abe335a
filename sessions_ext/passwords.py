"""Whose password it is, by the AUTHENTICATION_BACKENDS of the project."""

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables


@sensitive_variables()
def ask_backends(
    request: HttpRequest,
    names: Iterable[dict[str, str]],
    password: str,
    is_wanted: Callable[[Any], bool] = lambda user: True,
) -> Any:
    """As django.contrib.auth.authenticate() does, but for somebody who may log in by one of several `names`,
    and without reporting a failure: to lockout apps, each report is a failed login. The first name is the
    user name, and Django's own backend is asked by that alone. A backend that answers with somebody who is
    not wanted has not answered. Raises PermissionDenied where a backend refuses, as lockout apps do."""
    for path in settings.AUTHENTICATION_BACKENDS:
        backend: Any = auth.load_backend(path)
        is_djangos = type(backend).authenticate is ModelBackend.authenticate
        for name in [*names][: 1 if is_djangos else None]:
            if not _takes(backend, name):
                continue
            user = backend.authenticate(request, **name, password=password)
            if user is not None and is_wanted(user):
                user.backend = path
                return user
    return None


@sensitive_variables()
def is_password_of(request: HttpRequest, user: Any, password: str) -> bool:
    """Whether this is the password of a user, whatever name the user logs in with. The backends are asked
    by the user name and by the e-mail address. One that knows people by something else, but uses Django's
    hashes, is spared the question. A wrong password sends `user_login_failed`, once."""
    username, email = user.get_username(), getattr(user, user.get_email_field_name(), "") or ""
    names = [{"username": username}]
    if email and email != username:
        names += [{"username": email}]
    names += [{"email": email}] if email else []
    try:
        if ask_backends(request, names, password, lambda found: found.pk == user.pk):
            return True
        if _only_others_know_hashes(names) and user.check_password(password):
            return True
    except PermissionDenied:
        pass
    report_failure(request, username)
    return False


def has_password(user: Any, backend_path: Any) -> bool:
    """Whether a user can be asked for a password: one of Django's, or one of a directory (LDAP), which the
    backend of the login at hand checks itself."""
    if user.has_usable_password():
        return True
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return False
    backend: Any = auth.load_backend(backend_path)
    # Those of single sign-on take anything by **kwargs, or are Django's, whose password is not usable.
    return not isinstance(backend, ModelBackend) and "password" in signature(backend.authenticate).parameters


def report_failure(request: HttpRequest, username: str) -> None:
    user_login_failed.send(sender=__name__, credentials={"username": username}, request=request)


def _only_others_know_hashes(names: list[dict[str, str]]) -> bool:
    """Whether the project's backends use Django's hashes, and none of them is asked by the user name. One
    that takes a password, but for none of the `names`, is one of those."""

    def knows(backend: Any) -> bool:
        takes_password = "password" in signature(backend.authenticate).parameters
        is_asked = any(_takes(backend, name) for name in names)
        return isinstance(backend, ModelBackend) or (takes_password and not is_asked)

    backends: list[Any] = list(filter(knows, auth.get_backends()))
    asked = (type(each).authenticate is ModelBackend.authenticate for each in backends)
    return bool(backends) and not any(asked)


def _takes(backend: Any, name: dict[str, str]) -> bool:
    taken = signature(backend.authenticate)
    try:
        taken.bind(None, **name, password="")
    except TypeError:
        return False
    # One that takes anything, but names a user name, needs that.
    return "username" in name or name.keys() <= taken.parameters.keys() or "username" not in taken.parameters

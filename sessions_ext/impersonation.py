"""Who acts as the user, by the apps that let staff do so. Each can be the IMPERSONATOR: a callable that is
given the request and the user of a login that is about to have its row. It returns who acts as that user,
or None for an ordinary login. It returns the user where somebody comes back from acting as another."""

import inspect
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

__all__ = ["hijack", "loginas", "who_acts"]


def hijack(request: HttpRequest, user: Any) -> Any:
    """Of django-hijack: its views, and those that inherit from them."""
    view_class = getattr(_view_of(request), "view_class", None)
    if view_class is None:
        return None
    from hijack.views import AcquireUserView, ReleaseUserView

    return who_acts(request) if issubclass(view_class, AcquireUserView | ReleaseUserView) else None


def loginas(request: HttpRequest, user: Any) -> Any:
    """Of django-loginas: its two views. A view of the project that calls login_as() itself needs a callable
    of the project, which can call who_acts()."""
    from loginas import views

    theirs = [inspect.unwrap(view) for view in (views.user_login, views.user_logout)]
    return who_acts(request) if inspect.unwrap(_view_of(request)) in theirs else None


def who_acts(request: HttpRequest) -> Any:
    """Who was signed in when this request came: whoever acted in that session, or else its user. For a
    login that takes the place of that session. Raises PermissionDenied where nobody was, or where that
    session has been ended meanwhile."""
    store = request.session
    # Nothing is flushed where people act as who they are already.
    replaced = getattr(store, "replaced_login", None) or getattr(store, "login", None)
    if replaced is None or replaced.user is None:
        raise PermissionDenied("Nobody is signed in who could act as another user.")
    return replaced.session.impersonator or replaced.user


def _view_of(request: HttpRequest) -> Any:
    match = request.resolver_match
    return match.func if match else None

"""How many sessions a user may have, and which end when there are more."""

from inspect import signature
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Case, Value, When
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .conf import conf

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .querysets import UserSessionQuerySet

# A UUID v7 begins with 48 bits of time. The id of an adopted login has zeros there.
FIRST_OWN_ID = UUID(int=1 << 80)


def limit_of(user: "AbstractBaseUser", request: HttpRequest | None = None) -> int | None:
    """MAX_SESSIONS for this user; None for no limit. Raises what the project's callable raises."""
    limit = conf.MAX_SESSIONS
    if isinstance(limit, str):
        ask = import_string(limit)
        takes_request = "request" in signature(ask).parameters
        limit = ask(user, request) if takes_request else ask(user)
    if limit is not None and type(limit) is not int:
        raise ImproperlyConfigured(f"MAX_SESSIONS returned {type(limit).__name__}, not an int or None.")
    return None if limit is None else max(limit, 0)


def lock(user: "AbstractBaseUser", using: str) -> None:
    """Make other logins of this user wait until the transaction ends."""
    features = connections[using].features
    if features.has_select_for_update:
        users = get_user_model()._base_manager.using(using)
        rows = users.select_for_update(no_key=features.has_select_for_no_key_update)
        rows.values_list("pk").get(pk=user.pk)


def surplus(active: "UserSessionQuerySet", room: int) -> list[UUID]:
    """The ids of a user's active sessions that have no place among `room`, by the policy ON_LIMIT.
    Adopted logins lose their place first: nobody knows how old they are."""
    if conf.ON_LIMIT == "deny":
        return list(active.oldest_first().values_list("pk", flat=True)[room:])
    idlest = ("-last_activity_at",) if conf.ON_LIMIT == "revoke_idlest" else ()
    is_adopted = Case(When(pk__lt=FIRST_OWN_ID, then=Value(1)), default=Value(0))
    kept_first = active.order_by(is_adopted, *idlest, "-created_at", "-id")
    return list(kept_first.values_list("pk", flat=True)[room:])

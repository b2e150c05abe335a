"""For a project's own tests; needs the `testing` extra (factory-boy)."""

from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from .conf import conf
from .models import RevokedReason, UserSession
from .store import ID_KEY

__all__ = ["UserFactory", "UserSessionFactory", "log_in"]


class UserFactory(factory.django.DjangoModelFactory):  # type: ignore[misc]
    """A user of the project's own model. A password can be passed; it is "password" otherwise."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        return model_class._default_manager.create_user(*args, **kwargs)

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        number = kwargs.pop("number")
        kwargs.setdefault(get_user_model().USERNAME_FIELD, f"user{number}")
        return {"password": "password", **kwargs}

    number = factory.Sequence(int)


class UserSessionFactory(factory.django.DjangoModelFactory):  # type: ignore[misc]
    """An active session. The traits `revoked` and `expired` make one that has ended."""

    class Meta:
        model = UserSession

    class Params:
        revoked = factory.Trait(
            is_revoked=True,
            revoked_at=factory.LazyFunction(timezone.now),
            revoked_reason=RevokedReason.USER,
        )
        expired = factory.Trait(
            created_at=factory.LazyFunction(lambda: timezone.now() - 2 * conf.LIFETIME),
            expires_at=factory.LazyAttribute(lambda session: session.created_at + conf.LIFETIME),
        )

    user = factory.SubFactory(UserFactory)
    device_info = "Firefox on Linux"
    user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    ip_address = "192.0.2.1"
    last_ip_address = factory.SelfAttribute("ip_address")
    created_at = factory.LazyFunction(timezone.now)
    last_activity_at = factory.SelfAttribute("created_at")
    expires_at = factory.LazyAttribute(lambda session: session.created_at + conf.LIFETIME)


def log_in(client: Client, user: Any, **fields: Any) -> UserSession:
    """Log a test client in without a password and return the session it then carries; `fields`
    are written to its row (`ip_address="203.0.113.9"`, say)."""
    client.force_login(user)
    session: UserSession = UserSession.objects.for_user(user).get(pk=client.session[ID_KEY])
    if fields:
        session.as_row.update(**fields)
        session.refresh_from_db()
    return session

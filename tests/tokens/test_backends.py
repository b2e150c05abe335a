"""Which backend a token is of, and what that one says."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests.pairs import MODEL_BACKEND, are_refused
from tests.tokens.logins import row_of, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


ALL_USERS = "django.contrib.auth.backends.AllowAllUsersModelBackend"


class OtherBackend(ModelBackend):
    """Another one that a project may have beside Django's."""


class PickyBackend(ModelBackend):
    """Says itself who exists."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user if user and user.last_name != "nobody" else None


class ReplicaBackend(ModelBackend):
    """Reads users from a replica."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        user._state.db = "other"
        return user


OTHER, PICKY, REPLICA = (f"{__name__}.{name}" for name in ("OtherBackend", "PickyBackend", "ReplicaBackend"))


# Which backend.


def test_where_one_backend_is_configured_it_need_not_be_named(user):
    assert tokens.verify(sign_in(user).access_token).user == user


def test_where_several_are_configured_one_has_to_be_known(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user)
    assert not UserSession.objects.exists()
    assert tokens.verify(sign_in(user, OTHER).access_token).user == user
    user.backend = MODEL_BACKEND  # as authenticate() leaves it
    assert tokens.verify(sign_in(user).access_token).user == user


@pytest.mark.parametrize("backend", ["nowhere.Backend", OTHER])
def test_a_backend_that_is_not_configured_logs_nobody_in(user, backend):
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user, backend)
    user.backend = backend
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user)
    assert not UserSession.objects.exists()


def test_tokens_of_a_backend_that_was_removed_are_refused(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    pair, kept = sign_in(user, OTHER), sign_in(user, MODEL_BACKEND)
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND]
    assert are_refused(pair)
    assert tokens.verify(kept.access_token) is not None
    settings.AUTHENTICATION_BACKENDS = [OTHER, MODEL_BACKEND]  # the order is no matter
    assert tokens.verify(kept.access_token) is not None


def test_a_refresh_stays_with_the_backend_of_the_login(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    pair = tokens.refresh(sign_in(user, OTHER).refresh_token)
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND]
    assert tokens.verify(pair.access_token) is None


def test_a_backend_that_says_who_exists_is_asked(user, settings):
    settings.AUTHENTICATION_BACKENDS = [PICKY]
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    type(user).objects.filter(pk=user.pk).update(last_name="nobody")
    assert are_refused(pair)


def test_a_backend_may_read_users_from_another_database(user, settings):
    settings.AUTHENTICATION_BACKENDS = [REPLICA]
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    assert tokens.refresh(pair.refresh_token).session.user == user


def test_a_backend_that_lets_disabled_users_in_goes_on_doing_so(user, settings):
    settings.AUTHENTICATION_BACKENDS = [ALL_USERS]
    user.is_active = False
    user.save()
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    assert tokens.verify(tokens.refresh(pair.refresh_token).access_token).user == user


def test_a_disabled_user_is_refused_and_the_session_ends(user, pair):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert tokens.verify(pair.access_token) is None
    assert row_of(pair).revoked_reason == "user_disabled"
    get_user_model().objects.filter(pk=user.pk).update(is_active=True)
    assert are_refused(pair)

"""How soon an end bites, and how long a token is good."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from sessions_ext.models import UserSession
from tests.api.calls import App, problem, refresh

pytestmark = pytest.mark.django_db


def by_revoke(user):
    UserSession.objects.for_user(user).revoke("stolen")


def by_deletion_of_the_row(user):
    UserSession.objects.for_user(user).delete()


def by_expiry(user):
    UserSession.objects.for_user(user).update(expires_at=timezone.now() - timedelta(seconds=1))


def by_password(user):
    user.set_password("another")
    user.save()


def by_raw_password(user):
    get_user_model().objects.filter(pk=user.pk).update(password="!")


def by_deactivation(user):
    user.is_active = False
    user.save()


def by_raw_deactivation(user):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def by_deletion(user):
    user.delete()


ENDS = [
    by_revoke,
    by_deletion_of_the_row,
    by_expiry,
    by_password,
    by_raw_password,
    by_deactivation,
    by_raw_deactivation,
    by_deletion,
]


@pytest.mark.parametrize("end", ENDS)
def test_an_end_bites_at_the_next_call(user, app, end):
    assert app.get("/both").status_code == 200
    end(user)
    assert app.get("/both").status_code == app.get("/aboth").status_code == 401
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert problem(app.delete("/sessions")) == "401 not_authenticated"
    assert problem(refresh(app.tokens["refresh_token"])) == "401 invalid_refresh_token"
    assert not UserSession.objects.active().exists() or end is by_raw_password


def test_an_access_token_is_good_for_its_lifetime(user, later, settings):
    settings.SESSIONS_EXT = {"ACCESS_TOKEN_LIFETIME": 60}
    app = App(user)
    assert app.tokens["expires_in"] == 60
    later(59)
    assert app.get("/sessions").status_code == 200
    later(1)
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert refresh(app.tokens["refresh_token"]).status_code == 200


def test_a_login_that_renews_the_hash_of_the_password_gives_tokens_that_work(user, settings):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    old = user.password
    app = App(user)
    user.refresh_from_db()
    assert user.password != old
    assert app.get("/sessions").status_code == 200
    assert refresh(app.tokens["refresh_token"]).status_code == 200

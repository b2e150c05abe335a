"""Adoption of a login from before the app was installed."""

import pytest
from django.test import Client

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY, STAMP_KEY
from sessions_ext.testing import UserSessionFactory, log_in
from tests.store.data import rewrite

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def forget_row(client: Client) -> None:
    """Leave the client logged in as Django alone would have."""
    UserSession.objects.all().delete()
    rewrite(client, **{ID_KEY: None})


@pytest.mark.django_db(transaction=True)
def test_a_login_from_before_the_app_is_adopted(client, user, engine):
    log_in(client, user)
    forget_row(client)
    client.get("/who/", headers={"User-Agent": "curl/8.5.0"})
    session = UserSession.objects.get()
    assert (session.user, session.user_agent) == (user, "curl/8.5.0")
    assert client.session[ID_KEY] == str(session.pk)
    assert client.get("/row/").content.decode() == str(session.pk)


@pytest.mark.django_db(transaction=True)
def test_an_async_request_adopts(aget, client, user):
    log_in(client, user)
    forget_row(client)
    assert aget("/awho/").content.decode() == user.get_username()
    assert client.session[ID_KEY] == str(UserSession.objects.get().pk)


@pytest.mark.django_db(transaction=True)
def test_an_adopted_login_that_was_revoked_is_not_adopted_again(client, user, engine):
    """The cookie from before the adoption, which has no id in it, opens nothing either."""
    log_in(client, user)
    forget_row(client)
    before = client.cookies["sessionid"].value
    client.get("/who/")
    UserSession.objects.for_user(user).revoke("admin")
    assert client.get("/who/").content == b"nobody"
    client.cookies["sessionid"] = before
    assert client.get("/who/").content == b"nobody"
    assert UserSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_cookie_from_before_the_adoption_is_not_fresh_by_a_later_confirmation(client, user, settings):
    """It goes on to work where the cookie itself is the store."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.ROOT_URLCONF = "tests.stepping_up"
    log_in(client, user)
    forget_row(client)
    rewrite(client, **{STAMP_KEY: None})
    copy = Client()
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    client.get("/who/")
    assert client.get("/confirmed/").content == b"True"
    assert client.get("/fresh/").content == b"True"
    assert [copy.get("/fresh/").content for _ in range(2)] == [b"False", b"False"]
    assert UserSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_data_of_a_replayed_cookie_cannot_be_read_once_its_adopted_login_has_ended(
    client, user, settings
):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    log_in(client, user)
    forget_row(client)
    rewrite(client, basket="a book")
    before = client.cookies["sessionid"].value
    assert "a book" in client.get("/data/").content.decode()
    UserSession.objects.for_user(user).revoke("admin")
    client.cookies["sessionid"] = before
    assert client.get("/data/").content == b"{}"


@pytest.mark.django_db(transaction=True)
def test_an_adoption_that_is_rolled_back_is_made_anew(client, user, engine):
    log_in(client, user)
    forget_row(client)
    assert client.get("/roll-back/").content == b"rolled back"
    assert client.get("/who/").content.decode() == user.get_username()
    assert UserSession.objects.get().user == user


def test_an_adoption_at_the_limit_signs_out(both, client, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    log_in(client, user)
    forget_row(client)
    UserSessionFactory(user=user)
    assert both("/who/") == ("nobody", "nobody")
    assert UserSession.objects.count() == 1


def test_a_login_that_django_does_not_accept_is_not_adopted(both, client, user):
    log_in(client, user)
    forget_row(client)
    type(user).objects.filter(pk=user.pk).update(password="other")
    assert both("/who/") == ("nobody", "nobody")
    assert not UserSession.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_login_flushed_during_its_adoption_leaves_no_id_behind(client, user):
    log_in(client, user)
    forget_row(client)
    client.get("/adopt-and-flush/")
    assert client.session.is_empty()
    assert UserSession.objects.get().revoked_reason == RevokedReason.LOGOUT

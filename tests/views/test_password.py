"""The password, again."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.test import Client, override_settings
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.views.conftest import long_ago
from tests.views.pages import LIST, OTHERS, reason_of, sign_out, text

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", [sign_out, lambda session: OTHERS])
def test_after_a_while_the_password_is_asked_for_again(client, stale, there, path):
    page = client.post(path(there), {"next": "/embedded/"})
    assert "Confirm that it\N{RIGHT SINGLE QUOTATION MARK}s you" in text(page)
    assert reason_of(there) == ""
    page = client.post(path(there), {"password": "wrong", "next": "/embedded/"})
    assert "That is not your password." in text(page)
    assert "wrong" not in page.content.decode()
    assert reason_of(there) == ""
    key = client.session.session_key
    response = client.post(path(there), {"password": "password", "next": "/embedded/"})
    assert response.url == "/embedded/"
    assert reason_of(there) == "user"
    assert client.session.session_key != key
    assert client.get("/row/").content.decode() == str(stale.pk)


def test_once_given_it_is_good_for_a_while(client, stale, there, user, later):
    client.post(sign_out(there), {"password": "password"})
    another = UserSessionFactory(user=user)
    later(14 * 60)
    client.post(sign_out(another))
    assert reason_of(another) == "user"
    last = UserSessionFactory(user=user)
    later(120)
    client.post(sign_out(last))
    assert reason_of(last) == ""


def test_an_empty_password_is_none(client, stale, there):
    assert "This field is required." in text(client.post(sign_out(there), {"password": ""}))
    assert reason_of(there) == ""


def test_the_password_of_somebody_else_is_none(client, stale, there):
    other = UserFactory(password="theirs")
    client.post(sign_out(there), {"password": "theirs", "username": other.get_username()})
    assert reason_of(there) == ""


def test_a_backend_that_answers_with_another_user_is_refused(client, stale, there, settings):
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.SomebodyElse"]
    client.post(sign_out(there), {"password": "anything"})
    assert reason_of(there) == ""


class SomebodyElse:
    def authenticate(self, request, username=None, password=None):
        return UserFactory()


class OlderHasher(PBKDF2PasswordHasher):
    """Whose hashes Django renews when it sees the password."""

    algorithm = "older"
    iterations = 1


def test_a_password_whose_hash_is_renewed_keeps_this_browser_signed_in(client, user, there, settings):
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS, f"{__name__}.OlderHasher"]
    get_user_model().objects.filter(pk=user.pk).update(password=make_password("password", hasher="older"))
    user.refresh_from_db()
    here = log_in(client, user)
    long_ago(here)
    client.post(sign_out(there), {"password": "password"})
    user.refresh_from_db()
    assert not user.password.startswith("older")
    assert client.get("/row/").content.decode() == str(here.pk)
    assert reason_of(there)


def test_what_counts_is_when_the_row_says(client, user, there):
    here = log_in(client, user)
    for age, expected in ((timedelta(minutes=16), ""), (timedelta(minutes=14), "user")):
        UserSession.objects.filter(pk=here.pk).update(authenticated_at=timezone.now() - age)
        client.post(sign_out(there))
        assert reason_of(there) == expected


def test_a_session_from_before_the_installation_is_not_authenticated_just_now(client, here, there):
    """Its row is new, but nobody knows when its person gave the password."""
    data = client.session
    del data[ID_KEY]
    data.save()
    UserSession.objects.filter(pk=here.pk).delete()
    assert "Confirm that it\N{RIGHT SINGLE QUOTATION MARK}s you" in text(client.post(sign_out(there)))
    assert reason_of(there) == ""
    client.post(sign_out(there), {"password": "password"})
    assert reason_of(there) == "user"


def test_logging_in_again_counts_too(client, stale, there, user):
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert client.session[ID_KEY] == str(stale.pk)
    client.post(sign_out(there))
    assert reason_of(there) == "user"


@pytest.mark.parametrize(("after", "asks"), [(None, False), (0, True), (timedelta(hours=1), False)])
def test_how_long_it_is_good_is_a_setting(client, stale, there, settings, after, asks):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": after}
    client.post(sign_out(there))
    assert (reason_of(there) == "") == asks


@pytest.fixture
def without_password(user, stale):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    return user


def signed_in_by_another_site(client, user):
    session = log_in(client, user)
    long_ago(session)
    return session


def test_somebody_without_a_password_is_not_asked_for_one(client, without_password, there):
    signed_in_by_another_site(client, without_password)
    client.post(sign_out(there))
    assert reason_of(there) == "user"


def test_somebody_without_a_password_goes_where_the_project_says(client, without_password, there, settings):
    signed_in_by_another_site(client, without_password)
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/again/"}
    assert client.post(sign_out(there)).url == "/sso/again/?next=%2Fdevices%2F"
    assert reason_of(there) == ""
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "password_reset"}
    assert client.post(OTHERS).url == "/reset/?next=%2Fdevices%2F"
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/again/?prompt=login"}
    assert client.post(OTHERS).url == "/sso/again/?prompt=login&next=%2Fdevices%2F"


def test_a_login_without_a_row_is_asked_and_ends_them_all(user, there, settings):
    """As of a project that silenced the check for the middleware."""
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "sessions_ext" not in each]
    client = Client()
    client.force_login(user)
    assert "Safari on iPhone" in text(client.get(LIST))
    assert "Confirm that it\N{RIGHT SINGLE QUOTATION MARK}s you" in text(client.post(OTHERS))
    client.post(OTHERS, {"password": "password"})
    assert reason_of(there) == "user"


def test_without_time_zones_it_is_the_same(client, user, settings, there):
    with override_settings(USE_TZ=False, TIME_ZONE="America/Phoenix"):  # no clock is ever changed there
        here = log_in(client, user)
        other = UserSession.objects.start(user)
        client.post(sign_out(other))
        other.refresh_from_db()
        assert other.revoked_reason == "user"
        assert client.get("/row/").content.decode() == str(here.pk)

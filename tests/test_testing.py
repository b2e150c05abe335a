"""What projects import into their own tests."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core import signing
from django.test import Client, override_settings

from sessions_ext.models import UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_a_user_is_one_of_the_projects_own_model_with_a_password_that_works(client):
    user = UserFactory()
    assert type(user) is get_user_model()
    assert client.login(username=user.get_username(), password="password")


def test_a_password_can_be_passed(client):
    user = UserFactory(password="correct horse")
    assert client.login(username=user.get_username(), password="correct horse")
    assert not client.login(username=user.get_username(), password="password")


def test_users_differ_and_take_fields():
    first, second = UserFactory.create_batch(2, is_staff=True)
    assert first.get_username() != second.get_username()
    assert get_user_model().objects.filter(is_staff=True).count() == 2
    assert UserFactory(username="ada").get_username() == "ada"


@pytest.mark.parametrize(
    ("traits", "state"), [({}, "active"), ({"revoked": True}, "revoked"), ({"expired": True}, "expired")]
)
@pytest.mark.parametrize("lifetime", [timedelta(minutes=1), timedelta(days=400)])
def test_a_session_is_in_the_state_of_its_trait_and_in_no_other(traits, state, lifetime):
    with override_settings(SESSIONS_EXT={"LIFETIME": lifetime, "IDLE_TIMEOUT": lifetime}):
        session = UserSessionFactory(**traits)
        states = {
            name: list(getattr(UserSession.objects.all(), name)())
            for name in ("active", "expired", "revoked")
        }
    assert states == {"active": [], "expired": [], "revoked": []} | {state: [session]}


def test_a_session_takes_fields(user):
    session = UserSessionFactory(user=user, ip_address="2001:db8::1", is_trusted=True)
    session.refresh_from_db()
    assert (session.user, session.is_trusted) == (user, True)
    assert session.ip_address == session.last_ip_address == "2001:db8::1"


def test_log_in_gives_the_client_a_session_that_carries_the_user(client, user, engine):
    session = log_in(client, user)
    assert session.user_id == user.pk
    assert client.session[ID_KEY] == str(session.pk)
    assert client.get("/who/").content.decode() == user.get_username()
    assert client.get("/row/").content.decode() == str(session.pk)


def test_log_in_needs_no_password(client, user):
    user.set_unusable_password()
    user.save()
    assert log_in(client, user).is_active


def test_log_in_writes_fields_to_the_row(client, user):
    session = log_in(client, user, ip_address="203.0.113.9", is_trusted=True)
    assert (session.ip_address, session.is_trusted) == ("203.0.113.9", True)
    row = UserSession.objects.get(pk=session.pk)
    assert (row.ip_address, row.is_trusted) == ("203.0.113.9", True)


def test_log_in_writes_fields_to_no_other_row(client, user):
    before = log_in(Client(), user)
    log_in(client, user, is_trusted=True)
    before.refresh_from_db()
    assert not before.is_trusted


def test_each_client_gets_a_session_of_its_own(user):
    clients = [Client(), Client()]
    sessions = [log_in(client, user) for client in clients]
    assert sessions[0] != sessions[1]
    UserSession.objects.filter(pk=sessions[0].pk).revoke("user")
    assert [client.get("/who/").content.decode() for client in clients] == ["nobody", user.get_username()]


def test_the_cookie_of_log_in_is_the_projects_own(client, user, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSION_COOKIE_NAME = "another"
    session = log_in(client, user)
    data = signing.loads(
        client.cookies["another"].value,
        salt="django.contrib.sessions.backends.signed_cookies",
        serializer=signing.JSONSerializer,
    )
    assert data[ID_KEY] == str(session.pk)

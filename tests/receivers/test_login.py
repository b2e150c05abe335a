"""Login: the table and the browser agree."""

import pytest
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.receivers import on_login
from sessions_ext.signals import session_limit_reached, session_revoked, session_started
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.receivers.rows import credentials, reasons_of

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


# Login


def test_a_login_starts_a_row(client, user, engine):
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    client.post("/login/", credentials(user), headers={"User-Agent": agent}, REMOTE_ADDR="192.0.2.7")
    session = UserSession.objects.get()
    assert session.user == user
    assert session.user_agent == agent
    assert session.device_info == "Firefox on Linux"
    assert session.ip_address == session.last_ip_address == "192.0.2.7"
    assert client.session[ID_KEY] == str(session.pk)


def test_a_login_and_the_requests_after_it_agree(client, user):
    assert client.post("/login/", credentials(user)).content.decode() == user.get_username()
    assert client.get("/row/").content.decode() == str(UserSession.objects.get().pk)


def test_a_failed_login_leaves_no_row(client, user):
    assert client.post("/login/", credentials(user, "wrong")).status_code == 401
    assert not UserSession.objects.exists()


def test_a_login_of_another_model_is_not_the_users_of_the_same_key(rf, user):
    """A backend may log in people who are rows of another table."""
    request = rf.get("/")
    request.session = SessionStore()
    request.session[SESSION_KEY] = user._meta.pk.value_to_string(user)
    on_login(sender=Session, request=request, user=Session(pk=user.pk))
    assert not UserSession.objects.exists()
    assert ID_KEY not in request.session


def test_logging_in_again_keeps_the_row_and_evicts_nobody(client, apost, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    elsewhere = log_in(Client(), user)
    client.post("/login/", credentials(user))
    session = UserSession.objects.newest_first().first()
    key = client.session.session_key
    response = client.post("/login/", credentials(user))
    assert client.session.session_key != key
    client.cookies["sessionid"] = response.cookies["sessionid"].value
    apost("/alogin/", credentials(user))
    assert set(UserSession.objects.for_user(user).active()) == {elsewhere, session}


def test_logging_in_again_with_a_row_that_just_ended_starts_another(client, user):
    client.post("/login/", credentials(user))
    client.post("/revoke-and-login/", credentials(user))
    assert reasons_of(user) == ["admin", ""]
    assert client.get("/who/").content.decode() == user.get_username()


def test_who_has_a_copy_of_the_cookie_of_a_row_that_just_ended_is_not_logged_in_with_its_owner(
    engine, client, user
):
    client.post("/login/", credentials(user))
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    client.post("/revoke-and-login/", credentials(user))
    assert client.get("/who/").content.decode() == user.get_username()
    assert thief.get("/who/").content == b"nobody"


def test_another_user_in_the_same_browser_ends_the_first_ones_session(client, user, engine):
    client.post("/login/", credentials(user))
    other = UserFactory()
    client.post("/login/", credentials(other))
    assert reasons_of(user) == [RevokedReason.LOGOUT]
    assert client.get("/who/").content.decode() == other.get_username()
    assert client.get("/row/").content.decode() == str(UserSession.objects.for_user(other).get().pk)


def test_another_user_in_the_same_browser_async(client, apost, user):
    client.post("/login/", credentials(user))
    other = UserFactory()
    response = apost("/alogin/", credentials(other))
    assert response.content.decode() == other.get_username()
    assert reasons_of(user) == [RevokedReason.LOGOUT]
    assert reasons_of(other) == [""]


def test_a_login_shows_its_own_row_at_once(client, user):
    """Whatever was looked at before, in another's browser or in nobody's."""
    for _ in range(2):
        pk = client.post("/login-and-row/", credentials(user)).content.decode()
        assert pk == client.session[ID_KEY]
        other = UserFactory()
        pk = client.post("/login-and-row/", credentials(other)).content.decode()
        assert pk == str(UserSession.objects.for_user(other).get().pk) == client.session[ID_KEY]
    assert client.get("/logout-and-row/").content == b"none"


def test_logging_in_again_after_the_data_was_cleared_keeps_the_row(client, user):
    client.post("/login/", credentials(user))
    client.post("/clear-and-login/", credentials(user))
    client.get("/who/")
    assert client.session[ID_KEY] == str(UserSession.objects.get().pk)


def test_the_test_client_logs_in_again(client, user):
    assert log_in(client, user) == log_in(client, user)
    assert UserSession.objects.count() == 1


def test_a_login_without_the_middleware_starts_a_row(user, settings):
    settings.MIDDLEWARE = settings.MIDDLEWARE[:2]
    client = Client()
    client.post("/login/", credentials(user))
    assert client.session[ID_KEY] == str(UserSession.objects.get().pk)


def test_a_login_that_no_cookie_carries_is_left_alone(user, rf):
    without_session = rf.get("/")
    with_guest_session = rf.get("/")
    with_guest_session.session = SessionStore()
    for request in (None, without_session, with_guest_session):
        user_logged_in.send(sender=type(user), request=request, user=user)
        user_logged_out.send(sender=type(user), request=request, user=user)
    assert not UserSession.objects.exists()


def test_signals_follow_the_commit(client, user, receiver_of, django_capture_on_commit_callbacks):
    started, revoked = receiver_of(session_started), receiver_of(session_revoked)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/login/", credentials(user))
        assert not started
    session = UserSession.objects.get()
    assert started[0]["session"] == session
    assert started[0]["request"].path == "/login/"
    with django_capture_on_commit_callbacks(execute=True):
        client.get("/logout/")
    assert revoked == [{"session_ids": [session.pk], "user_ids": {user.pk}, "reason": RevokedReason.LOGOUT}]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_breaks_no_login_and_no_logout(client, user, caplog):
    def fail(**kwargs):
        raise RuntimeError("a receiver of the project's")

    signals = session_started, session_revoked, session_limit_reached
    for signal in signals:
        signal.connect(fail)
    try:
        assert client.post("/login/", credentials(user)).content.decode() == user.get_username()
        assert client.get("/logout/").content == b"nobody"
    finally:
        for signal in signals:
            signal.disconnect(fail)
    assert "a receiver of the project's" in caplog.text
    assert reasons_of(user) == [RevokedReason.LOGOUT]


# The limit


def test_a_login_past_the_limit_signs_out_the_oldest(client, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    browsers = [Client(), Client(), Client()]
    for browser in browsers:
        browser.post("/login/", credentials(user))
    assert [browser.get("/who/").content.decode() for browser in browsers] == [
        "nobody",
        user.get_username(),
        user.get_username(),
    ]
    assert reasons_of(user) == [RevokedReason.LIMIT, "", ""]


def test_a_login_past_the_limit_may_be_denied(client, user, settings, receiver_of):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    denied = receiver_of(session_limit_reached)
    first = Client()
    first.post("/login/", credentials(user))
    client.get("/put/?key=cart&value=1")
    response = client.post("/login/", credentials(user))
    assert response.status_code == 403
    assert b"/devices/make-room/" in response.content
    assert client.get("/who/").content == b"nobody"
    assert client.get("/data/").json() == {"cart": "1"}
    assert first.get("/who/").content.decode() == user.get_username()
    assert reasons_of(user) == [""]
    assert denied == [{"user": user, "limit": 1, "policy": "deny", "session_ids": []}]


def test_a_denied_login_is_nobody_in_its_own_view(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    UserSessionFactory(user=user)
    request = RequestFactory().get("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    with pytest.raises(SessionLimitReached):
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    assert request.user.is_anonymous
    assert request.session.is_empty() or "_auth_user_id" not in request.session


@pytest.mark.parametrize("prefix", ["/", "/a"])
def test_a_denial_that_the_view_catches_leaves_nobody(client, apost, user, settings, prefix):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 0}
    post = client.post if prefix == "/" else apost
    assert post(f"{prefix}login-caught/", credentials(user)).content == b"nobody, none"


def test_a_denied_login_of_somebody_whose_row_just_ended_leaves_nobody(client, user, settings):
    client.post("/login/", credentials(user))
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    UserSessionFactory(user=user)
    assert client.post("/revoke-and-login/?caught", credentials(user)).content == b"nobody, none"
    assert ID_KEY not in client.session


def test_a_denied_login_async(apost, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    UserSessionFactory(user=user)
    assert apost("/alogin/", credentials(user)).status_code == 403
    assert UserSession.objects.count() == 1

"""What must never happen: failures that other systems shipped, each with its code.

F18, F20 and F21 need threads that race; they live in test_concurrency.py. The rows of
tokens, proxies and pages (F01 to F04, F09 to F17, F23) come with the parts they are about.
"""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.management import call_command
from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from sessions_ext.models import UserSession
from sessions_ext.stores import ID_KEY
from sessions_ext.testing import UserSessionFactory, log_in

pytestmark = pytest.mark.django_db

NEW = "xK4!vnw2p"


def credentials(user):
    return {"username": user.get_username(), "password": "password"}


def replayed(cookie: str) -> Client:
    client = Client()
    client.cookies["sessionid"] = cookie
    return client


def test_revoked_browser_is_anonymous_at_its_next_request_on_each_engine(client, aget, user, engine):
    """F05: a revoke reaches the store that the project really uses."""
    client.post("/login/", credentials(user))
    elsewhere = Client()
    elsewhere.post("/login/", credentials(user))
    session = UserSession.objects.for_user(user).oldest_first().first()
    cookie = client.cookies["sessionid"].value
    assert UserSession.objects.for_user(user).filter(pk=session.pk).revoke("stolen") == 1
    assert aget("/awho/").content == b"nobody"
    assert client.get("/who/").content == b"nobody"
    assert replayed(cookie).get("/who/").content == b"nobody"
    assert elsewhere.get("/who/").content.decode() == user.get_username()


def by_set_password(user, client):
    user.set_password(NEW)
    user.save()


def by_raw_update(user, client):
    get_user_model().objects.filter(pk=user.pk).update(password="!")


def by_reset(user, client):
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(get_user_model().objects.get(pk=user.pk))
    guest = Client()
    form = guest.get(f"/reset/{uid}/{token}/").url
    assert guest.post(form, {"new_password1": NEW, "new_password2": NEW}).status_code == 302


def by_change_elsewhere(user, client):
    elsewhere = Client()
    log_in(elsewhere, user)
    form = {"old_password": "password", "new_password1": NEW, "new_password2": NEW}
    assert elsewhere.post("/password/", form).status_code == 302
    assert elsewhere.get("/who/").content.decode() == user.get_username()


@pytest.mark.parametrize("change", [by_set_password, by_raw_update, by_reset, by_change_elsewhere])
def test_a_password_change_ends_the_sessions(client, user, engine, change):
    """F06: each way to another password ends the cookies."""
    session = log_in(client, user)
    change(user, client)
    assert client.get("/who/").content == b"nobody"
    session.refresh_from_db()
    assert session.revoked_reason == "password_change"


def test_changepassword_ends_the_sessions(client, user, monkeypatch, tmp_path):
    """F06: so does an operator's manage.py changepassword."""
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)
    session = log_in(client, user)
    with open(tmp_path / "out", "w") as out:
        call_command("changepassword", user.get_username(), stdout=out)
    session.refresh_from_db()
    assert session.revoked_reason == "password_change"
    assert client.get("/who/").content == b"nobody"


def test_a_cookie_captured_before_the_logout_opens_nothing_after_it(client, user, engine):
    """F07: replaying it, with signed cookies too, which keep nothing on the server."""
    client.post("/login/", credentials(user))
    cookie = client.cookies["sessionid"].value
    assert replayed(cookie).get("/who/").content.decode() == user.get_username()
    client.get("/logout/")
    assert replayed(cookie).get("/who/").content == b"nobody"


def test_id_and_session_key_are_new_after_a_login(client, user, engine):
    """F08: fixation."""
    client.get("/put/?key=cart&value=1")
    before = client.cookies["sessionid"].value
    client.post("/login/", credentials(user))
    first = client.session[ID_KEY]
    assert client.cookies["sessionid"].value != before
    assert replayed(before).get("/who/").content == b"nobody"
    client.get("/logout/")
    client.post("/login/", credentials(user))
    assert client.session[ID_KEY] != first


@pytest.mark.parametrize("with_middleware", [True, False])
def test_a_planted_id_adopts_nobodys_row(client, user, engine, settings, with_middleware):
    """F08: neither a stranger's row nor another one of the same user."""
    if not with_middleware:
        settings.MIDDLEWARE = settings.MIDDLEWARE[:2]
    theirs, own = UserSessionFactory(), UserSessionFactory(user=user)
    # Without the middleware, a login cannot tell a planted id of its own user from a login again.
    for planted in (theirs, own) if with_middleware else (theirs,):
        guest = Client()
        session = guest.session
        session[ID_KEY] = str(planted.pk)
        session.save()
        guest.cookies["sessionid"] = session.session_key
        assert guest.get("/who/").content == b"nobody"
        guest.post("/login/", credentials(user))
        assert guest.session[ID_KEY] not in {str(theirs.pk), str(own.pk)}
        planted.refresh_from_db()
        assert planted.is_active


@pytest.mark.parametrize(
    "address",
    ["", "unknown", "192.0.2.9:4711", "[2001:db8::9]:443", "fe80::1%eth0", "unix:", "/run/app.sock", None],
)
def test_a_missing_or_odd_address_fails_no_login(user, address):
    """F19"""
    client = Client(REMOTE_ADDR=address)
    client.post("/login/", credentials(user))
    assert client.get("/who/").content.decode() == user.get_username()
    expected = {
        "192.0.2.9:4711": "192.0.2.9",
        "[2001:db8::9]:443": "2001:db8::9",
        "fe80::1%eth0": "fe80::1",
    }
    assert UserSession.objects.get().ip_address == expected.get(address)


def test_an_async_login_leaves_the_same_row(apost, user, engine):
    """F22: alogin, async views and async middleware."""
    headers = {"User-Agent": "curl/8.5.0"}
    Client().post("/login/", credentials(user), headers=headers)
    response = apost("/alogin/", credentials(user), headers=headers)
    assert response.content.decode() == user.get_username()
    here, there = UserSession.objects.newest_first()
    described = ("user_id", "user_agent", "device_info", "ip_address", "last_ip_address", "is_revoked")
    assert [getattr(here, name) for name in described] == [getattr(there, name) for name in described]


def test_an_async_login_is_seen_by_the_next_async_request(apost, aget, client, user, engine):
    """F22: the user is not lost on the way."""
    response = apost("/alogin/", credentials(user))
    client.cookies["sessionid"] = response.cookies["sessionid"].value
    assert aget("/awho/").content.decode() == user.get_username()
    assert aget("/arow/").content.decode() == str(UserSession.objects.get().pk)
    assert aget("/alogout/").content == b"nobody"
    assert UserSession.objects.get().revoked_reason == "logout"


def test_a_signed_cookie_without_an_id_opens_nothing_after_its_adoption_ended(user, settings):
    """F07: nor does a cookie from before the app was installed."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = Client()
    log_in(client, user)
    UserSession.objects.all().delete()
    store = SignedCookies(client.cookies["sessionid"].value)
    del store[ID_KEY]
    store.save()
    for _ in range(2):
        assert replayed(store.session_key).get("/who/").content.decode() == user.get_username()
    assert UserSession.objects.count() == 1
    UserSession.objects.for_user(user).revoke("stolen")
    assert replayed(store.session_key).get("/who/").content == b"nobody"

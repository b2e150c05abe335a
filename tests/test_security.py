"""What must never happen: failures that other systems shipped, each with its code.

F01 and F04 live in tokens/test_races.py, F02 and F03 in tokens/test_rotation.py, F09 and F10 in
tokens/test_secrets.py, F12 and F13 in tokens/test_claims.py, F15 in views/test_list.py,
new_device/test_when.py and admin/test_in_browser.py, F18, F20 and F21, which need threads that
race, in concurrency/. More of F03 is in test_observers.py, of F14 and F23 in
views/test_sign_out.py, of F17 in verdicts/test_races.py and test_redis.py. F33 is in
impersonation/ and company/test_impersonation.py, F34 in api/test_confirm.py and views/test_confirm.py.
"""

import os
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.pairs import JSON, NEW, are_refused, claims_of, parts_of, tokens_of

pytestmark = pytest.mark.django_db


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


def by_raw_sql(user, client):
    with connection.cursor() as cursor:
        key = user._meta.pk.get_db_prep_value(user.pk, connection)
        cursor.execute(f"UPDATE {user._meta.db_table} SET password = '!' WHERE id = %s", [key])


def by_changepassword(user, client):
    with pytest.MonkeyPatch.context() as patch, open(os.devnull, "w") as out:
        patch.setattr("getpass.getpass", lambda prompt="": NEW)
        call_command("changepassword", user.get_username(), stdout=out)


@pytest.mark.parametrize(
    "change",
    [by_set_password, by_raw_update, by_raw_sql, by_reset, by_change_elsewhere, by_changepassword],
)
@pytest.mark.parametrize("first_used", ["access", "refresh"])
def test_a_password_change_ends_the_tokens(client, user, change, first_used):
    """F06: each way to another password ends access and refresh tokens, used and unused, at once."""
    used, bystander = tokens_of(user), tokens_of(UserFactory())
    pair = tokens.refresh(used.refresh_token)
    change(user, client)
    if first_used == "access":
        assert tokens.verify(pair.access_token) is tokens.verify(used.access_token) is None
    assert tokens.refresh(pair.refresh_token) is tokens.refresh(used.refresh_token) is None
    assert are_refused(pair)
    assert tokens.verify(bystander.access_token)
    fresh = get_user_model().objects.get(pk=user.pk)
    assert tokens.verify(tokens_of(fresh).access_token)


def test_a_password_that_is_put_back_revives_no_session(user):
    """F06: a token that met the other password has ended its session, as a cookie does."""
    pair, old = tokens_of(user), user.password
    users = get_user_model().objects.filter(pk=user.pk)
    users.update(password="!")
    assert tokens.verify(pair.access_token) is None
    assert UserSession.objects.get().revoked_reason == "password_change"
    users.update(password=old)
    assert are_refused(pair)


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
    ("trusted", "address"),
    [((), "203.0.113.9"), (1, "192.0.2.4"), (["10.0.0.0/8"], "203.0.113.9"), (["203.0.113.9"], "192.0.2.4")],
)
def test_a_forged_header_changes_no_address(user, settings, trusted, address):
    """F11: at the login and at a later touch; the whole table is in clients/test_addresses.py."""
    settings.SESSIONS_EXT = {"TRUSTED_PROXIES": trusted, "TOUCH_INTERVAL": 0}
    forged = {
        "X-Forwarded-For": "198.51.100.66, 192.0.2.4",
        "X-Real-IP": "198.51.100.66",
        "Forwarded": "for=198.51.100.66",
    }
    client = Client(REMOTE_ADDR="203.0.113.9", headers=forged)
    client.post("/login/", credentials(user))
    client.get("/who/")
    session = UserSession.objects.get()
    assert session.ip_address == session.last_ip_address == address


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


# Tokens


def test_nobody_ends_or_sees_a_session_of_another_user(user):
    """F14: a foreign id is answered as an unknown one. (More of it: api/test_own_sessions.py.)"""
    mine, theirs = tokens_of(user), tokens_of(UserFactory())
    headers = {"Authorization": f"Bearer {mine.access_token}"}
    for method in ("GET", "DELETE", "PATCH"):
        body = '{"is_trusted": true}' if method == "PATCH" else ""
        foreign, unknown = (
            Client().generic(method, f"/api/sessions/{session_id}", body, JSON, headers=headers)
            for session_id in (theirs.session.pk, uuid4())
        )
        assert foreign.status_code == 404
        assert foreign.content == unknown.content
    theirs.session.refresh_from_db()
    assert theirs.session.is_active
    assert not theirs.session.is_trusted
    assert UserSession.objects.for_user(user).filter(pk=theirs.session.pk).revoke("user") == 0


def test_no_answer_lists_what_opens_a_session(client, user):
    """F16: only public ids."""
    log_in(client, user)
    key = client.cookies["sessionid"].value
    pair = tokens_of(user)
    following = tokens.refresh(pair.refresh_token)
    given = (pair.access_token, pair.refresh_token, following.access_token, following.refresh_token)
    secrets = {*parts_of(*given), *(claims_of(token)["jti"] for token in given), key}
    headers = {"Authorization": f"Bearer {following.access_token}"}
    for where in ("sessions?state=all", "sessions/current", f"sessions/{pair.session.pk}"):
        answer = Client().get(f"/api/{where}", headers=headers)
        assert answer.status_code == 200
        told = answer.content.decode() + str(answer.headers)
        assert str(pair.session.pk) in told
        assert not any(secret in told for secret in secrets)


@pytest.mark.parametrize("backend", ["db", "cached_db", "cache"])
def test_a_revoked_token_lives_in_no_cache(user, settings, backend):
    """F17: whatever the project caches, the answer comes from the row."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{backend}"
    settings.SESSIONS_EXT = {"CACHE": "default", "VERDICT_TTL": 3600}
    pair = tokens_of(user)
    headers = {"Authorization": f"Bearer {pair.access_token}"}
    client = Client()
    assert client.get("/api/both", headers=headers).status_code == 200
    UserSession.objects.filter(pk=pair.session.pk).revoke("stolen")
    assert client.get("/api/both", headers=headers).status_code == 401
    assert are_refused(pair)


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("PATCH", "sessions/{other}"),
        ("DELETE", "sessions/{other}"),
        ("DELETE", "sessions"),
        ("DELETE", "sessions/current"),
    ],
)
def test_a_call_by_cookie_needs_the_csrf_token_and_one_by_token_does_not(user, method, where):
    """F23: in the API. (The pages of the admin and the project's own operations: api/.)"""
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    pair, other = tokens_of(user), tokens_of(user)
    where = "/api/" + where.format(other=other.session.pk)
    body = '{"is_trusted": true}' if method == "PATCH" else ""
    assert client.generic(method, where, body, JSON).status_code == 403
    assert UserSession.objects.active().filter(is_trusted=False).count() == 3
    headers = {"Authorization": f"Bearer {pair.access_token}"}
    assert client.generic(method, where, body, JSON, headers=headers).status_code in {200, 204}
    assert UserSession.objects.active().filter(is_trusted=False).count() < 3

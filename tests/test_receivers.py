"""Login, logout and changes of the user: the table and the browser agree."""

import os

import pytest
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.signals import session_limit_reached, session_revoked, session_started
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.users.models import Account, Person, ProxyUser

pytestmark = pytest.mark.django_db


def credentials(user, password="password"):
    return {"username": user.get_username(), "password": password}


def reasons_of(user) -> list[str]:
    return list(UserSession.objects.for_user(user).oldest_first().values_list("revoked_reason", flat=True))


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


def test_a_logout_ends_the_row_of_a_backend_that_is_gone(client, user, settings):
    client.post("/login/", credentials(user))
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get("/who/").content == b"nobody"
    client.get("/logout/")
    assert reasons_of(user) == [RevokedReason.LOGOUT]


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


def test_a_logout_of_nobody_is_harmless(client, db):
    assert client.get("/logout/").content == b"nobody"
    request = HttpRequest()
    request.session = SessionStore()
    user_logged_out.send(sender=AnonymousUser, request=request, user=None)


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
    assert client.post("/login/", credentials(user)).status_code == 403
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


# Logout


def test_a_logout_ends_the_row(client, user, engine):
    client.post("/login/", credentials(user))
    assert client.get("/logout/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.LOGOUT]
    assert client.get("/who/").content == b"nobody"


def test_an_async_logout_ends_the_row(client, aget, user, engine):
    client.post("/login/", credentials(user))
    assert aget("/alogout/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.LOGOUT]


def test_a_logout_costs_one_statement_more(client, user, django_assert_num_queries):
    client.post("/login/", credentials(user))
    with django_assert_num_queries(5):  # load, verify, revoke; Django finds and deletes the payload
        client.get("/logout/")


def test_the_test_client_logs_out(client, user):
    log_in(client, user)
    client.logout()
    assert reasons_of(user) == [RevokedReason.LOGOUT]


def test_the_test_client_logs_out_of_a_row_that_has_ended(client, user):
    log_in(client, user)
    UserSession.objects.for_user(user).revoke("admin")
    client.logout()
    assert reasons_of(user) == ["admin"]


# Changes of the user


def test_changing_ones_password_ends_the_other_sessions(client, user, engine):
    elsewhere = log_in(Client(), user)
    here = log_in(client, user)
    passwords = {"old_password": "password", "new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    assert client.post("/password/", passwords).status_code == 302
    assert client.get("/row/").content.decode() == str(here.pk)
    elsewhere.refresh_from_db()
    assert elsewhere.revoked_reason == RevokedReason.PASSWORD_CHANGE


def test_changing_ones_password_ends_the_trust_in_this_device_too(client, user):
    here = log_in(client, user, is_trusted=True)
    stranger = UserSessionFactory(is_trusted=True)
    passwords = {"old_password": "password", "new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    client.post("/password/", passwords)
    here.refresh_from_db()
    stranger.refresh_from_db()
    assert (here.is_active, here.is_trusted) == (True, False)
    assert stranger.is_trusted


def test_a_change_that_does_not_renew_the_auth_hash_ends_its_own_session_too(client, user):
    log_in(client, user)
    client.get("/set-password/")
    assert client.get("/who/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE]


def test_a_password_set_for_another_user_spares_the_operators_session(client, user):
    operator = UserFactory(is_staff=True, is_superuser=True)
    session = log_in(client, operator)
    theirs = UserSessionFactory(user=user)
    new = {"password1": "xK4!vnw2p", "password2": "xK4!vnw2p", "usable_password": "true"}
    path = f"/admin/auth/user/{user.pk}/password/"
    if user._meta.label == "auth.User":
        assert client.post(path, new).status_code == 302
    else:
        user.set_password("xK4!vnw2p")
        user.save()
    theirs.refresh_from_db()
    session.refresh_from_db()
    assert theirs.revoked_reason == RevokedReason.PASSWORD_CHANGE
    assert session.is_active


def test_other_saves_of_a_user_end_nothing(client, user):
    log_in(client, user)
    user.refresh_from_db()
    user.first_name = "Ada"
    user.save()
    assert reasons_of(user) == [""]


def test_a_password_that_is_not_among_the_saved_fields_ends_nothing(client, user):
    log_in(client, user)
    user.set_password("another")
    user.save(update_fields=["first_name"])
    assert reasons_of(user) == [""]


def test_disabling_a_user_ends_every_session(client, user):
    log_in(client, user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    assert reasons_of(user) == [RevokedReason.USER_DISABLED]
    assert client.get("/who/").content == b"nobody"


def test_a_saved_user_costs_one_query_of_ours_where_the_password_is_saved(user, django_assert_num_queries):
    with django_assert_num_queries(1):
        user.save(update_fields=["last_login"])
    tables = 1 + len(user._meta.get_parent_list())
    with django_assert_num_queries(1 + tables):
        user.save()


@pytest.mark.parametrize("change", ["set_password", "set_unusable_password", "assign", "proxy"])
def test_each_way_to_another_password_ends_the_sessions_at_once(user, change):
    session = UserSessionFactory(user=user)
    if change == "proxy":
        user = ProxyUser.objects.get(pk=user.pk)
    if change == "assign":
        user.password = make_password("another")
    elif change == "set_unusable_password":
        user.set_unusable_password()
    else:
        user.set_password("another")
    user.save()
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE


def test_a_user_disabled_through_a_proxy_is_signed_out(user):
    session = UserSessionFactory(user=user)
    proxy = ProxyUser.objects.get(pk=user.pk)
    proxy.is_active = False
    proxy.save()
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.USER_DISABLED


@pytest.mark.skipif(os.environ.get("USER_MODEL") != "child", reason="of users with parents")
def test_a_user_changed_through_a_parent_is_signed_out(user):
    session = UserSessionFactory(user=user)
    Person.objects.get(pk=user.pk).save()
    assert reasons_of(user) == [""]
    account = Account.objects.get(pk=user.pk)
    account.set_password("another")
    account.save()
    session = UserSessionFactory(user=user)
    account.is_active = False
    account.save()
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE, RevokedReason.USER_DISABLED]
    Person.objects.get(pk=user.pk).delete()
    assert not UserSession.objects.filter(pk=session.pk).exists()


def test_a_password_saved_from_an_older_copy_of_the_user_is_seen(user):
    """What counts is what the database held, not what the object was loaded with."""
    stale = type(user).objects.get(pk=user.pk)
    user.set_password("another")
    user.save()
    session = UserSessionFactory(user=user)
    stale.refresh_from_db()
    stale.save()
    session.refresh_from_db()
    assert session.is_active


@pytest.mark.django_db(databases=["default", "other"])
def test_a_copy_of_the_user_in_another_database_ends_nothing(user):
    session = UserSessionFactory(user=user)
    copy = type(user).objects.get(pk=user.pk)
    copy.save(using="other", force_insert=True)
    copy.is_active = False
    copy.save(using="other")
    session.refresh_from_db()
    assert session.is_active


def test_a_fixture_of_users_ends_nothing(user, tmp_path):
    UserSessionFactory(user=user)
    fixture = tmp_path / "users.json"
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    call_command("dumpdata", user._meta.label, output=fixture)
    call_command("loaddata", fixture, verbosity=0)
    assert reasons_of(user) == [""]


def test_deleting_a_user_deletes_their_sessions_and_signs_them_out(both, client, user):
    log_in(client, user)
    type(user).objects.get(pk=user.pk).delete()
    assert both("/who/") == ("nobody", "nobody")
    assert not UserSession.objects.exists()


def test_a_password_reset_ends_every_session(client, user):
    elsewhere = Client()
    log_in(elsewhere, user)
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(type(user).objects.get(pk=user.pk))
    form = client.get(f"/reset/{uid}/{token}/").url
    new = {"new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    assert client.post(form, new).status_code == 302
    assert elsewhere.get("/who/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE]


def test_the_auth_hash_of_a_session_may_be_renewed(client, user):
    session = log_in(client, user)
    request = RequestFactory().get("/")
    request.session, request.user = client.session, user
    user.set_password("another")
    update_session_auth_hash(request, user)
    assert request.session[ID_KEY] == str(session.pk)

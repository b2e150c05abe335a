"""Which logins the request's session gives out."""

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import UserManager

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserSessionFactory, log_in
from tests.store.data import payload_exists, rewrite

pytestmark = pytest.mark.django_db


# A login that ended


@pytest.mark.parametrize("end", ["revoke", "expire", "delete"])
def test_the_data_of_an_ended_login_is_read_by_nobody(both, client, user, engine, end):
    log_in(client, user)
    client.get("/put/?key=secret&value=plan")
    rows = UserSession.objects.for_user(user)
    key = client.session.session_key
    if end == "revoke":
        rows.revoke("admin")
    elif end == "expire":
        rows.update(expires_at=rows.get().created_at)
    else:
        rows.delete()
    response = client.get("/data/")
    assert response.json() == {}
    assert response.cookies["sessionid"].value == ""
    assert engine == "signed_cookies" or not payload_exists(key)
    assert both("/who/") == ("nobody", "nobody")


@pytest.mark.parametrize(
    "garbage",
    ["", "x", "0", 7, -1, True, [], ["a"], {}, {"a": 1}, 1.5, "\x00", "é" * 5000, "0" * 32, str(2**200)],
)
def test_garbage_for_an_id_is_a_logged_out_browser(both, client, user, garbage):
    log_in(client, user)
    rewrite(client, **{ID_KEY: garbage})
    assert both("/who/") == ("nobody", "nobody")


@pytest.mark.parametrize("garbage", ["", "x", "-1", "\x00", str(2**200), "1 OR 1=1"])
def test_garbage_for_a_user_id_is_a_logged_out_browser(both, client, user, garbage):
    log_in(client, user)
    rewrite(client, **{SESSION_KEY: garbage})
    assert both("/who/") == ("nobody", "nobody")


def test_the_id_of_another_users_session_is_a_logged_out_browser(both, client, user):
    log_in(client, user)
    theirs = UserSessionFactory()
    rewrite(client, **{ID_KEY: str(theirs.pk)})
    assert both("/who/") == ("nobody", "nobody")
    theirs.refresh_from_db()
    assert theirs.is_active


def test_an_id_of_a_missing_row_is_a_logged_out_browser(both, client, user):
    log_in(client, user)
    rewrite(client, **{ID_KEY: "00000000-0000-7000-8000-000000000000"})
    assert both("/who/") == ("nobody", "nobody")


# Django's own rules for who is logged in


def test_a_password_changed_behind_the_apps_back_ends_the_session(both, client, user, engine):
    session = log_in(client, user)
    type(user).objects.filter(pk=user.pk).update(password="other")
    assert both("/who/") == ("nobody", "nobody")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE


def test_a_login_without_an_auth_hash_is_refused(both, client, user):
    log_in(client, user)
    rewrite(client, **{HASH_SESSION_KEY: None})
    assert both("/who/") == ("nobody", "nobody")


@pytest.mark.parametrize("path", ["/who/", "/awho/"])
def test_a_fallback_secret_key_still_verifies_and_is_replaced(client, aget, user, settings, path):
    session = log_in(client, user)
    before = client.session[HASH_SESSION_KEY], client.session.session_key
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new key, long enough for every check that Django has for it"
    response = (aget if path == "/awho/" else client.get)(path)
    assert response.content.decode() == user.get_username()
    client.cookies["sessionid"] = response.cookies["sessionid"].value
    after = client.session[HASH_SESSION_KEY], client.session.session_key
    assert before[0] != after[0]
    assert before[1] != after[1]
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get("/row/").content.decode() == str(session.pk)


def test_a_secret_key_that_is_gone_verifies_nobody(both, client, user, settings):
    log_in(client, user)
    settings.SECRET_KEY = "a new key, long enough for every check that Django has for it"
    assert both("/who/") == ("nobody", "nobody")


def test_a_disabled_user_is_signed_out(both, client, user):
    session = log_in(client, user)
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    assert both("/who/") == ("nobody", "nobody")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.USER_DISABLED


def test_a_backend_that_is_no_longer_configured_logs_nobody_in(both, client, user, settings):
    session = log_in(client, user)
    rewrite(client, **{BACKEND_SESSION_KEY: "gone.Backend"})
    assert both("/who/") == ("nobody", "nobody")
    assert both("/row/") == ("none", "none")
    session.refresh_from_db()
    assert session.is_active  # as in Django, the login waits for its backend to come back


class OwnGetUser(ModelBackend):
    def get_user(self, user_id):
        user = super().get_user(user_id)
        if user is None or user.first_name == "hidden":
            return None
        user.last_name = "from the backend"
        return user


def test_another_backend_keeps_its_own_get_user(both, client, user, settings, django_assert_num_queries):
    settings.AUTHENTICATION_BACKENDS = ["tests.store.test_verified.OwnGetUser"]
    log_in(client, user)
    with django_assert_num_queries(2):  # the one more that its own query costs
        assert client.get("/who/").content.decode() == user.get_username()
    type(user).objects.filter(pk=user.pk).update(first_name="hidden")
    assert both("/who/") == ("nobody", "nobody")
    type(user).objects.filter(pk=user.pk).update(first_name="")
    assert both("/who/") == (user.get_username(), user.get_username())


def test_a_backend_for_users_who_are_not_active_keeps_its_rule(both, client, user, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    log_in(client, user)
    user.is_active = False
    user.save()
    assert both("/who/") == (user.get_username(), user.get_username())


def test_a_user_model_whose_manager_hides_users_keeps_its_rule(both, client, user, monkeypatch):
    class WithoutHidden(UserManager):
        def get_queryset(self):
            return super().get_queryset().exclude(first_name="hidden")

    log_in(client, user)
    manager = WithoutHidden()
    manager.model, manager.name = get_user_model(), "objects"
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", manager)
    assert both("/who/") == (user.get_username(), user.get_username())
    get_user_model()._base_manager.filter(pk=user.pk).update(first_name="hidden")
    assert both("/who/") == ("nobody", "nobody")


class Bare(ModelBackend):
    """A backend whose users have no auth hash."""

    def get_user(self, user_id):
        return BareUser(user_id)


class BareUser:
    is_authenticated = True

    def __init__(self, pk):
        self.pk = pk

    def get_username(self):
        return "bare"


def test_a_user_without_an_auth_hash_is_taken_as_django_takes_it(both, client, user, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.store.test_verified.Bare"]
    log_in(client, user)
    rewrite(client, **{HASH_SESSION_KEY: None})
    assert both("/who/") == ("bare", "bare")

"""What the request's session gives out, and what it does to the row."""

from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import UserManager
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from sessions_ext.hot import LoadsByStatement
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY, verified
from sessions_ext.testing import UserSessionFactory, log_in

pytestmark = pytest.mark.django_db


def rewrite(client: Client, **data) -> None:
    """Change the stored session data of a client; None removes a key."""
    session = client.session
    for key, value in data.items():
        session.pop(key, None)
        if value is not None:
            session[key] = value
    session.save()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = session.session_key


def payload_exists(session_key: str) -> bool:
    return import_module(django_settings.SESSION_ENGINE).SessionStore().exists(session_key)


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
    settings.AUTHENTICATION_BACKENDS = ["tests.test_stores.OwnGetUser"]
    log_in(client, user)
    with django_assert_num_queries(3):  # the one more that its own query costs
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
    settings.AUTHENTICATION_BACKENDS = ["tests.test_stores.Bare"]
    log_in(client, user)
    rewrite(client, **{HASH_SESSION_KEY: None})
    assert both("/who/") == ("bare", "bare")


# Adoption of a login from before the app was installed


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


# The store's own acts


def test_a_flush_by_the_project_ends_the_session(client, user, engine):
    session = log_in(client, user)
    client.get("/flush/")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert client.get("/who/").content == b"nobody"


def test_a_flush_of_an_anonymous_session_is_djangos(client, db):
    client.get("/put/?key=cart&value=1")
    key = client.session.session_key
    client.get("/flush/")
    assert not payload_exists(key)


def test_the_key_may_be_cycled_under_a_login(client, user, engine):
    session = log_in(client, user)
    before = client.session.session_key
    client.get("/cycle/")
    # The key of a signed cookie is its content, signed and dated to the second.
    assert engine == "signed_cookies" or client.session.session_key != before
    assert client.get("/row/").content.decode() == str(session.pk)


def test_data_of_an_anonymous_session_is_djangos(client, engine):
    client.get("/put/?key=cart&value=1")
    assert client.get("/data/").json() == {"cart": "1"}


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"], indirect=True)
def test_a_payload_that_vanished_under_a_live_login_is_still_djangos_error(client, user, engine):
    log_in(client, user)
    assert client.get("/put-after-loss/").status_code == 400
    assert UserSession.objects.get().is_active


def test_a_payload_that_vanished_under_a_guest_is_still_djangos_error(client, db):
    client.get("/put/?key=cart&value=1")
    assert client.get("/put-after-loss/").status_code == 400


# The load of Django's own session


class StoreOfItsOwn(DatabaseStore):
    """Keeps its sessions where Django would not look."""

    def _get_session_from_db(self):
        return None


class StoreOfAnotherModel(DatabaseStore):
    @classmethod
    def get_model_class(cls):
        return UserSession


@pytest.mark.parametrize(
    ("store", "is_djangos"),
    [(DatabaseStore, True), (CachedStore, True), (StoreOfItsOwn, False), (StoreOfAnotherModel, False)],
)
def test_only_a_load_that_is_djangos_own_is_made_faster(store, is_djangos, rf):
    assert isinstance(verified(store("some key"), rf.get("/")), LoadsByStatement) is is_djangos


def test_an_engine_of_the_projects_own_is_asked(rf, client, user):
    log_in(client, user)
    store = verified(StoreOfItsOwn(client.session.session_key), rf.get("/"))
    assert store.load() == {}


def test_a_session_that_expired_or_never_was_is_not_loaded(rf, client, user):
    log_in(client, user)
    key = client.session.session_key
    Session.objects.update(expire_date=timezone.now())
    for each in (key, "never" * 6):
        store = verified(DatabaseStore(each), rf.get("/"))
        assert store.load() == {}
        assert store.session_key is None

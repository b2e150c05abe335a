"""What the store itself does, to the row and to Django's data."""

import pytest
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from sessions_ext.hot import LoadsByStatement
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import verified
from sessions_ext.testing import log_in
from tests.stores.data import payload_exists

pytestmark = pytest.mark.django_db


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

"""Data, row and user of a session by one query: by a hint, which is never believed."""

import uuid

import pytest
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions_ext import authentication
from sessions_ext.models import UserSession
from sessions_ext.payloads import hint_of
from sessions_ext.reasons import RevokedReason
from sessions_ext.store import ID_KEY, STAMP_KEY, verified
from sessions_ext.testing import UserFactory, log_in
from tests.loaded import assert_alike
from tests.store.data import rewrite

pytestmark = pytest.mark.django_db
HERE = __name__


@pytest.fixture
def costs(django_assert_num_queries):
    """GET a path for so many queries, and return the body."""

    def get(client, number, path="/who/"):
        with django_assert_num_queries(number):
            return client.get(path).content.decode()

    return get


def name(user):
    return user.get_username()


def give_hint(session, hint):
    session.as_row.update(payload_hint=hint)


# One query


@pytest.mark.user_model
def test_what_one_query_finds_is_what_two_find(client, user, settings, costs):
    session = log_in(client, user, providers_accessed=["mail"], ip_address="2001:db8::1")

    def load():
        store = verified(DatabaseStore)(client.session.session_key)
        return dict(store.items()), store.user, store.user_session

    with CaptureQueriesContext(connection) as queries:
        data, found_user, found = load()
    assert len(queries) == 1
    settings.SESSIONS_EXT = {"ONE_QUERY": False}
    expected_data, expected_user, expected = load()
    assert data == expected_data
    assert found.user is found_user
    assert found == session
    assert_alike(found, expected)
    assert_alike(found_user, expected_user)


def test_the_row_is_found_by_an_index(client, user):
    log_in(client, user)
    with CaptureQueriesContext(connection) as queries:
        client.get("/who/")
    (query,) = queries
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # there is one row
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(f"{explain} {query['sql']}")
        assert "sessions_ext_payload" in str(cursor.fetchall())


def test_a_login_by_a_page_is_read_by_one_query_from_the_next_request_on(client, user, costs):
    client.post("/login/", {"username": name(user), "password": "password"})
    assert costs(client, 1) == name(user)
    assert costs(client, 1, "/awho/") == name(user)


def test_an_engine_of_the_apps_own_does_as_djangos(client, user, settings, costs):
    settings.SESSION_ENGINE = "sessions_ext.engines.db"
    log_in(client, user)
    assert costs(client, 1) == name(user)


def test_a_visitor_with_data_and_without_a_login_costs_one_query(client, costs):
    client.get("/put/?key=cart&value=1")
    assert costs(client, 1) == "nobody"
    assert costs(client, 1, "/data/") == '{"cart": "1"}'


@pytest.mark.user_model
@pytest.mark.parametrize("idle", [None, 60])
def test_an_ended_session_is_not_found_by_its_hint(client, user, settings, later, idle):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": idle, "TOUCH_INTERVAL": 10}
    session = log_in(client, user)
    assert client.get("/who/").content.decode() == name(user)
    if idle:
        later(idle)
    else:
        session.revoke("stolen")
    assert session.payload_hint == UserSession.objects.get().payload_hint
    assert client.get("/who/").content == b"nobody"
    assert client.get("/data/").json() == {}


# The hint is written when the key is known, and corrected by a touch


def corrected(client, user, later, costs):
    """Whether a touch corrects the hint, by the statement that it makes anyway."""
    assert costs(client, 2) == name(user)
    later(60)
    with CaptureQueriesContext(connection) as touch:
        client.get("/who/")
    verbs = [query["sql"].split()[0] for query in touch if "UPDATE" in query["sql"]]
    assert verbs == ["UPDATE"]
    return costs(client, 1) == name(user)


def test_a_row_without_a_hint_gets_one(client, user, later, costs):
    later(0)
    session = log_in(client, user)
    give_hint(session, None)
    assert corrected(client, user, later, costs)


def test_a_new_key_gets_a_new_hint(client, user, later, costs):
    later(0)
    session = log_in(client, user)
    client.get("/cycle/")
    assert corrected(client, user, later, costs)
    before, session = session.payload_hint, UserSession.objects.get()
    assert session.payload_hint not in (None, before)


def test_a_touch_that_moves_the_end_corrects_the_hint_too(client, user, later, costs):
    later(0)
    give_hint(log_in(client, user), None)
    later(61)
    client.get("/put/?key=a&value=1")
    assert costs(client, 1) == name(user)


def test_another_secret_key_gets_another_hint(client, user, settings, later, costs):
    later(0)
    log_in(client, user)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one, and long enough for every check that Django has"
    assert client.get("/who/").content.decode() == name(user)  # has a new key and a new hash now
    assert corrected(client, user, later, costs)


def test_who_logs_in_over_another_login_gets_a_hint(client, user, later, costs):
    later(0)
    log_in(client, UserFactory())
    client.post("/login/", {"username": name(user), "password": "password"})
    assert corrected(client, user, later, costs)  # the key was not known yet


def test_the_hint_is_not_the_key_and_is_not_told(client, user):
    session = log_in(client, user)
    key = client.session.session_key
    assert session.payload_hint not in (None, uuid.uuid5(uuid.NAMESPACE_URL, key))
    assert str(session.payload_hint) not in repr(session) + str(session)
    assert key not in str(vars(session))


# It is never believed


@pytest.fixture
def attacker(client):
    """Somebody whose own login has no hint."""
    user = UserFactory()
    give_hint(log_in(client, user), None)
    return user


@pytest.fixture
def victim(client, attacker):
    """The row of a victim, active, with the hint of the attacker's session key."""
    session = log_in(Client(), UserFactory())
    give_hint(session, hint_of(client.session))
    return session


@pytest.mark.user_model
def test_the_row_of_another_login_is_ignored(client, attacker, victim, costs):
    assert costs(client, 2) == name(attacker)
    assert costs(client, 2, "/awho/") == name(attacker)
    assert client.get("/row/").content.decode() != str(victim.pk)


def test_rows_with_one_hint_are_told_apart(client, attacker, victim):
    give_hint(UserSession.objects.get(user=attacker), victim.payload_hint)
    assert client.get("/who/").content.decode() == name(attacker)
    assert client.get("/row/").content.decode() == str(UserSession.objects.get(user=attacker).pk)


@pytest.mark.user_model
def test_a_row_counts_only_if_it_is_the_one_that_is_asked_for(user, client, django_assert_num_queries):
    session, other = log_in(client, user), log_in(Client(), user)
    hinted = UserSession.objects.verify(user.pk, session.pk)

    def row(number, user, session_id):
        backend, key = django_settings.AUTHENTICATION_BACKENDS[0], user._meta.pk.value_to_string(user)
        with django_assert_num_queries(number):
            login = authentication.verify(key, session_id, backend, lambda _: True, hinted=hinted)
        return login and login.session

    assert row(0, user, str(session.pk)) is hinted
    assert row(1, user, str(other.pk)) == other
    assert row(1, UserFactory(), str(session.pk)) is None
    assert row(1, user, session.pk) == session  # not as a login spells it


def test_another_row_of_the_same_user_is_ignored(client, user):
    session, other = log_in(client, user), log_in(Client(), user)
    give_hint(other, session.payload_hint)
    give_hint(session, None)
    assert client.get("/row/").content.decode() == str(session.pk)
    session.revoke("stolen")
    assert client.get("/row/").content == b"none"


@pytest.mark.parametrize("path", ["/who/", "/awho/"])
def test_an_ended_login_is_nobody_whoever_has_its_hint(client, attacker, victim, path):
    UserSession.objects.get(user=attacker).revoke("stolen")
    assert client.get(path).content == b"nobody"


def test_data_without_a_login_are_nobodys(client, victim):
    names = (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY, ID_KEY, STAMP_KEY)
    rewrite(client, **dict.fromkeys(names), cart="1")
    give_hint(victim, hint_of(client.session))
    assert client.get("/who/").content == b"nobody"
    assert client.get("/data/").json() == {"cart": "1"}


@pytest.mark.parametrize("taken", ["row", "user"])
def test_data_that_name_half_of_the_row_are_nobodys(client, victim, taken):
    planted = {ID_KEY: str(victim.pk)} if taken == "row" else {auth.SESSION_KEY: str(victim.user_id)}
    rewrite(client, **planted)
    give_hint(victim, hint_of(client.session))
    assert client.get("/who/").content == b"nobody"
    victim.refresh_from_db()
    assert victim.is_active


def test_a_row_that_was_found_serves_one_load_alone(client, user):
    session = log_in(client, user)
    store = verified(DatabaseStore)(client.session.session_key)
    assert store.user_session == session
    data = dict(store.items())
    session.revoke("stolen")
    store._session_cache = data  # other code has loaded the same
    store._is_verified = False
    assert store.user is None


def test_a_changed_password_ends_the_session_all_the_same(client, user):
    session = log_in(client, user)
    type(user).objects.filter(pk=user.pk).update(password="md5$salt$another")
    assert client.get("/who/").content == b"nobody"
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE


# Where two queries are made


@pytest.mark.parametrize(
    "conf",
    [{"ONE_QUERY": False}, {"DISTRIBUTED": True}, {"CACHE": "default"}],
    ids=["off", "distributed", "cached"],
)
def test_settings_turn_it_off(client, user, settings, later, costs, conf):
    later(0)
    settings.SESSIONS_EXT = conf
    assert log_in(client, user).payload_hint is None
    assert costs(client, 2) == name(user)
    later(60)
    client.get("/who/")
    assert UserSession.objects.get().payload_hint is None


@pytest.mark.parametrize("engine", ["cached_db", "cache", "file", "signed_cookies"], indirect=True)
def test_only_the_engine_db_is_asked_by_one_query(client, user, engine, later, costs):
    later(0)
    log_in(client, user)
    later(60)
    client.get("/who/")
    assert UserSession.objects.get().payload_hint is None
    assert costs(client, 1) == name(user)


class StoreWithALoadOfItsOwn(DatabaseStore):
    def load(self):
        return {**super().load(), "extra": "1"}


class StoreElsewhere(DatabaseStore):
    @classmethod
    def get_model_class(cls):
        return UserSession


@pytest.mark.parametrize("store", [StoreWithALoadOfItsOwn, StoreElsewhere])
def test_an_engine_of_the_projects_own_has_no_hint(store):
    assert hint_of(store("some key" * 4)) is None
    assert hint_of(verified(store)("some key" * 4)) is None
    assert hint_of(verified(DatabaseStore)("some key" * 4)) == hint_of(DatabaseStore("some key" * 4))
    assert hint_of(DatabaseStore("some key" * 4)) is not None
    assert hint_of(DatabaseStore()) is None


class PayloadsElsewhere:
    def db_for_read(self, model, **hints):
        return "other" if model is Session else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", "other"])
def test_tables_in_two_databases_are_asked_one_by_one(client, user, settings):
    settings.DATABASE_ROUTERS = [f"{HERE}.PayloadsElsewhere"]
    assert log_in(client, user).payload_hint is None
    with (
        CaptureQueriesContext(connections["default"]) as ours,
        CaptureQueriesContext(connections["other"]) as djangos,
    ):
        assert client.get("/who/").content.decode() == name(user)
    assert (len(ours), len(djangos)) == (1, 1)
    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value == Session.objects.get().session_key

"""The hint that joins a row to the session's data, where others are about: replicas, other code, fields and
managers of the project's own, outdated statistics. What has `one_query` as a parameter ends alike with the
setting on and off."""

import copy
import pickle
import re
from itertools import chain, repeat

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions_ext import payloads
from sessions_ext.managers import UserSessionManager
from sessions_ext.models import UserSession
from sessions_ext.payloads import hint_of
from sessions_ext.store import ID_KEY, STAMP_KEY, verified
from sessions_ext.testing import UserFactory, log_in
from tests.store.data import rewrite

pytestmark = pytest.mark.django_db
HERE = __name__


@pytest.fixture(params=[True, False], ids=["one", "two"])
def one_query(request, settings):
    settings.SESSIONS_EXT = {"ONE_QUERY": request.param}
    return request.param


@pytest.fixture(autouse=True)
def _written_anew():
    """The tests below change models, which a statement that is written once does not expect."""
    payloads.LOAD_WITH_ROW.prepared.clear()
    from sessions_ext import managers

    managers.VERIFY.prepared.clear()
    yield
    payloads.LOAD_WITH_ROW.prepared.clear()
    managers.VERIFY.prepared.clear()


def name(user):
    return user.get_username()


def cost(client, path="/who/"):
    with CaptureQueriesContext(connection) as queries:
        body = client.get(path).content.decode()
    return len(queries), body


# Replicas


class ReadsFromAny:
    """A router as in Django's docs ("Multiple databases"): it picks a database for each read. The primary is
    among them. Here the order is fixed."""

    picks = iter(())

    def db_for_read(self, model, **hints):
        return next(self.picks)

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True


def copy_to_replica(*objects):
    for each in objects:
        type(each)._base_manager.using("other").bulk_create([copy.copy(each)])


@pytest.mark.django_db(databases=["default", "other"])
def test_a_revoked_row_is_not_read_from_a_replica_that_lags(client, user, settings, one_query):
    session = log_in(client, user)
    copy_to_replica(user, session, Session.objects.get())
    UserSession.objects.filter(pk=session.pk).revoke("stolen")
    assert UserSession.objects.get().is_revoked
    ReadsFromAny.picks = chain(["other"], repeat("default"))
    settings.DATABASE_ROUTERS = [f"{HERE}.ReadsFromAny"]
    assert client.get("/who/").content == b"nobody"


# A manager of the project's own


class OfTenant(UserSessionManager):
    tenant = ""

    def get_queryset(self):
        return super().get_queryset().filter(location=self.tenant)


@pytest.fixture
def of_tenant(monkeypatch):
    manager = OfTenant()
    manager.model, manager.name = UserSession, "objects"
    monkeypatch.setitem(UserSession._meta.managers_map, "objects", manager)
    return manager


def test_the_conditions_of_a_manager_are_those_of_now(client, user, of_tenant, one_query):
    session = log_in(client, user)
    UserSession._base_manager.filter(pk=session.pk).update(location="a")
    of_tenant.tenant = "a"
    assert client.get("/who/").content.decode() == name(user)
    of_tenant.tenant = "b"
    assert client.get("/who/").content == b"nobody"


# Fields of the user model


@pytest.fixture
def user_field():
    """The user's first name, to change what its field does."""
    field = auth.get_user_model()._meta.get_field("first_name")
    before = set(vars(field))
    yield field
    for key in set(vars(field)) - before:
        delattr(field, key)


def test_a_column_that_is_selected_with_parameters(client, user, user_field, one_query):
    log_in(client, user)
    # As fields do that are decrypted by the database.
    user_field.select_format = lambda compiler, sql, params: (f"COALESCE({sql}, %s)", [*params, "x"])
    assert client.get("/who/").content.decode() == name(user)


def test_a_column_that_is_selected_with_a_percent_sign(client, user, user_field, one_query):
    log_in(client, user)
    user_field.select_format = lambda compiler, sql, params: (f"COALESCE({sql}, '100%%')", params)
    assert client.get("/who/").content.decode() == name(user)


def test_a_field_that_is_never_null_need_not_read_null(client, user, user_field, one_query):
    """A visitor with a cart is nobody whose first name could be decrypted."""
    user_field.from_db_value = lambda value, expression, connection: value.upper()
    client.get("/put/?key=cart&value=1")
    assert client.get("/data/").json() == {"cart": "1"}


def test_a_field_that_is_never_null_and_a_row_without_a_hint(client, user, user_field, one_query):
    user_field.from_db_value = lambda value, expression, connection: value.upper()
    log_in(client, user).as_row.update(payload_hint=None)
    assert client.get("/who/").content.decode() == name(user)


def test_a_value_that_its_field_cannot_read(client, user, user_field, one_query):
    log_in(client, user)

    def fail(value, expression, connection):
        raise ValueError("a wrong key")

    user_field.from_db_value = fail
    assert client.get("/who/").content == b"nobody"


def test_a_field_that_reads_null_as_something(client, user, user_field, one_query):
    user_field.from_db_value = lambda value, expression, connection: value or ""
    client.get("/put/?key=cart&value=1")
    assert client.get("/data/").json() == {"cart": "1"}
    log_in(client, user)
    assert client.get("/who/").content.decode() == name(user)


# Two rows with one hint


def take_over(client, user):
    """Other code makes the session another user's, under the same key."""
    data = {
        auth.SESSION_KEY: user._meta.pk.value_to_string(user),
        auth.HASH_SESSION_KEY: user.get_session_auth_hash(),
        auth.BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
    }
    rewrite(client, **{ID_KEY: None, STAMP_KEY: None}, **data)


def test_a_second_row_with_the_hint_writes_no_hint_again_and_again(client, user, later):
    later(0)
    log_in(client, UserFactory())
    take_over(client, user)
    client.get("/who/")
    later(60)
    client.get("/who/")
    later(60)
    with CaptureQueriesContext(connection) as queries:
        client.get("/who/")
    (update,) = [each["sql"] for each in queries if each["sql"].startswith("UPDATE")]
    assert "payload_hint" not in update.partition("WHERE")[0]


def test_logging_in_again_and_again_leaves_one_row_with_each_hint(client, user):
    other = UserFactory()
    for each in (user, user, other, user, other, other):
        client.post("/login/", {"username": name(each), "password": "password"})
        client.get("/cycle/")
        assert client.get("/who/").content.decode() == name(each)
    hints = UserSession.objects.active().exclude(payload_hint=None).values_list("payload_hint", flat=True)
    assert len(set(hints)) == len(hints)


# Correcting the hint


def test_requests_that_are_no_activity_correct_the_hint_when_they_write(client, user, settings, later):
    settings.SESSIONS_EXT = {"IS_ACTIVITY": f"{HERE}.never"}
    later(0)
    log_in(client, user).as_row.update(payload_hint=None)
    later(61)
    client.get("/put/?key=cart&value=1")  # a new cookie, with a later end
    assert UserSession.objects.get().payload_hint == hint_of(client.session)


def never(request):
    return False


def test_a_touch_does_not_write_a_hint_that_is_right(client, user, later):
    later(0)
    log_in(client, user)
    for seconds in (60, 60):
        later(seconds)
        with CaptureQueriesContext(connection) as queries:
            client.get("/who/")
        (update,) = [each["sql"] for each in queries if each["sql"].startswith("UPDATE")]
        assert "payload_hint" not in update


def test_two_requests_at_once_correct_it_once(client, user, later, rf):
    from sessions_ext import activity

    later(0)
    log_in(client, user).as_row.update(payload_hint=None)
    later(60)
    stores = [verified(DatabaseStore)(client.session.session_key) for _ in range(2)]
    sessions = [store.user_session for store in stores]
    written = [
        activity.record(session, rf.get("/"), store=store)
        for session, store in zip(sessions, stores, strict=True)
    ]
    assert written == [True, False]


# Values


def test_every_key_has_a_hint_that_the_database_takes(user):
    """MariaDB's type for UUIDs refuses a quarter of all 16 bytes: those that look like a version of 8 or more
    and not like RFC 9562's variant. Then the login was an error 1292."""
    for number in range(40):
        hint = hint_of(DatabaseStore(f"{number:032}"))
        session = UserSession.objects.start(user, _hint=hint)
        assert UserSession.objects.get(payload_hint=hint) == session


def test_logging_in_works_with_every_session_key(user):
    for _ in range(20):
        assert log_in(Client(), user).payload_hint is not None


# The rest of the site


# What is left on a store


def load(client):
    return verified(DatabaseStore)(client.session.session_key)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))]
)
def test_copies_verify_for_themselves(client, user, copied):
    session = log_in(client, user)
    store = load(client)
    assert store.user_session == session
    other = copied(store)
    session.revoke("stolen")
    assert "hinted" not in vars(other)
    assert other.user is None
    assert other.session_key is None


def test_a_load_that_failed_leaves_no_row_to_a_later_one(client, user, settings):
    session = log_in(client, user)
    store = load(client)

    def fail(data):
        raise RuntimeError("the serializer failed")

    store.decode = fail
    with pytest.raises(RuntimeError):
        store.load()
    del store.decode
    session.revoke("stolen")
    settings.SESSIONS_EXT = {"ONE_QUERY": False}
    assert store.user is None


def test_a_store_that_is_given_another_key(client, user):
    mine, other = log_in(client, user), Client()
    theirs = log_in(other, UserFactory())
    store = load(client)
    assert store.user_session == mine
    store._session_key = other.session.session_key
    del store._session_cache
    assert store.load()[ID_KEY] == str(theirs.pk)
    assert store.user_session == theirs
    theirs.revoke("stolen")
    store.load()
    assert store.user_session is None


class OfCustomLoad(verified(DatabaseStore)):
    __module__, __qualname__ = DatabaseStore.__module__, DatabaseStore.__qualname__  # they are in the salt

    def load(self):
        stored = self._get_session_from_db()
        return self.decode(stored.session_data) if stored else {}


def test_a_subclass_of_a_verified_store_with_a_load_of_its_own(client, user):
    session = log_in(client, user)
    store = OfCustomLoad(client.session.session_key)
    dict(store.items())
    assert store.user == user
    session.revoke("stolen")
    assert OfCustomLoad(client.session.session_key).user is None


@pytest.mark.parametrize("path", ["/who/", "/awho/"])
def test_an_error_of_the_database_is_an_error_and_leaves_nothing(client, user, one_query, path):
    log_in(client, user)
    store = load(client)
    connection.needs_rollback = True
    try:
        with pytest.raises(transaction.TransactionManagementError):
            store.user  # noqa: B018
    finally:
        connection.needs_rollback = False
    assert not hasattr(store, "_session_cache")
    assert store.user == user


# Users


@pytest.mark.user_model
@pytest.mark.parametrize("path", ["/who/", "/awho/"])
def test_an_inactive_user_is_nobody(client, user, one_query, path):
    session = log_in(client, user)
    auth.get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert client.get(path).content == b"nobody"
    session.refresh_from_db()
    assert session.is_revoked


@pytest.mark.user_model
def test_a_deleted_user_is_nobody(client, user, one_query):
    log_in(client, user)
    user.delete()
    assert client.get("/who/").content == b"nobody"


@pytest.mark.user_model
def test_a_visitor_and_an_unknown_key_by_one_query(client, user, later):
    later(0)
    client.get("/put/?key=cart&value=1")
    assert cost(client, "/data/") == (1, '{"cart": "1"}')
    log_in(client, user)
    assert cost(client) == (1, name(user))


# Leaks


def test_the_hint_is_shown_nowhere(client, admin_client, user):
    session = log_in(client, user)
    hint = session.payload_hint
    pages = [
        client.get("/api/sessions/"),
        admin_client.get("/admin/sessions_ext/usersession/"),
        admin_client.get(f"/admin/sessions_ext/usersession/{session.pk}/change/"),
    ]
    for page in pages:
        text = page.content.decode()
        assert hint.hex not in text
        assert str(hint) not in text
        assert "payload_hint" not in text


# Plans


@pytest.mark.parametrize("known", ["nothing", "all", "everybody was signed out"])
def test_postgresql_reads_few_pages(client, user, known, one_query):
    """Whatever its statistics say: autovacuum renews them when a tenth of the rows has changed. Until then it
    knows of no active row, if everybody was signed out and less than a tenth is back."""
    if connection.vendor != "postgresql":
        pytest.skip("its planner")
    table = UserSession._meta.db_table
    session = log_in(client, user)
    columns = [
        f'"{field.column}"'
        for field in UserSession._meta.concrete_fields
        if field.column not in ("id", "payload_hint", "refresh_token_id")
    ]
    names = ", ".join(columns)
    values = names.replace('"expires_at"', "\"expires_at\" - random() * interval '7 days'")
    ids = "gen_random_uuid(), gen_random_uuid()"
    more = f"INSERT INTO {table} (id, payload_hint, {names}) SELECT {ids}, {values}"
    is_signed_out = known == "everybody was signed out"
    with connection.cursor() as cursor:
        cursor.execute(f"{more} FROM {table}, generate_series(1, 20000)")
        if is_signed_out:
            cursor.execute(f"UPDATE {table} SET is_revoked = true, revoked_at = now()")
        if known != "nothing":
            cursor.execute(f"ANALYZE {table}")
        if is_signed_out:
            session.as_row.update(is_revoked=False, revoked_at=None)
            cursor.execute(f"{more} FROM {table}, generate_series(1, 1500) WHERE NOT is_revoked")
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/who/").content.decode() == name(user)
    assert len(queries) == 2 - one_query
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + queries[-1]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    pages = re.search(r"shared hit=(\d+)(?: read=(\d+))?", plan)
    assert sum(map(int, filter(None, pages.groups()))) < 100


def test_mariadb_and_sqlite_go_by_the_hint(client, user):
    if connection.vendor == "postgresql":
        pytest.skip("see above")
    session = log_in(client, user)
    rows = [UserSession(user=user, expires_at=session.expires_at, payload_hint=None) for _ in range(2000)]
    UserSession.objects.bulk_create(rows)
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/who/").content.decode() == name(user)
    assert len(queries) == 1
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(explain + queries[0]["sql"])
        plan = "\n".join(map(str, cursor.fetchall()))
    assert "sessions_ext_payload" in plan

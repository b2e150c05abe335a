"""The statements made once are the ORM's, with other parameters."""

import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, router, transaction
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext import activity, managers
from sessions_ext.cleanup import CleanupResult
from sessions_ext.db.prepared import TEXT, TIMESTAMPTZ
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.loaded import assert_alike

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def sql_of(call):
    with CaptureQueriesContext(connection) as queries:
        call()
    (query,) = queries
    return query["sql"]


@pytest.mark.parametrize("idle", [None, 600])
def test_verify_sends_what_the_orm_would(user, settings, later, idle):
    later(0)
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": idle}
    session = UserSessionFactory(user=user)
    rows = UserSession.objects.filter(user_id=user.pk, pk=session.pk)

    def by_orm():
        return rows.active().select_related("user").get()

    made = sql_of(lambda: UserSession.objects.verify(user.pk, session.pk))
    made, written = (sql.translate({ord("("): "", ord(")"): ""}) for sql in (made, sql_of(by_orm)))
    columns, _, conditions = made.partition(" WHERE ")
    assert written.startswith(columns)
    for condition in conditions.split(" AND "):
        assert condition in written


def test_the_sql_is_written_once(user, monkeypatch):
    session = UserSessionFactory(user=user)
    UserSession.objects.verify(user.pk, session.pk)
    monkeypatch.setattr(managers.VERIFY, "build", None)
    assert UserSession.objects.verify(str(user.pk), str(session.pk)) == session
    assert UserSession.objects.verify(user.pk, UserSessionFactory().pk) is None


def test_what_is_found_is_what_the_orm_finds(user):
    session = UserSessionFactory(user=user, ip_address="2001:db8::1", providers_accessed=["mail"])
    found = UserSession.objects.verify(user.pk, session.pk)
    expected = UserSession.objects.select_related("user").get(pk=session.pk)
    assert_alike(found, expected)
    assert_alike(found.user, expected.user)


@pytest.fixture
def time_zone():
    def use(name):
        connection.settings_dict["TIME_ZONE"] = name
        for cached in ("timezone", "timezone_name"):
            vars(connection).pop(cached, None)
        connection.ensure_timezone()

    before = connection.settings_dict["TIME_ZONE"]
    yield use
    use(before)


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_times_are_in_the_time_zone_of_the_connection(user, time_zone, zone):
    session = UserSessionFactory(user=user)
    time_zone(zone)
    expected = UserSession.objects.get(pk=session.pk)
    found = UserSession.objects.verify(user.pk, session.pk)
    assert_alike(found, expected)
    assert repr(found.created_at) == repr(expected.created_at)


@pytest.mark.skipif(connection.Database.__name__ != "psycopg", reason="psycopg 3 alone has loaders")
def test_times_are_read_by_psycopg_which_asks_the_server_for_its_time_zone(user):
    """Django's loader takes any time for one in UTC."""
    session = UserSessionFactory(user=user)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'")
        assert UserSession.objects.verify(user.pk, session.pk).created_at == session.created_at
        transaction.set_rollback(True)


@pytest.fixture
def register_loader():
    """Register a loader of times that knows "infinity", for this connection or for all of psycopg's."""
    from psycopg.types.datetime import TimestamptzLoader

    class EndsInTime(TimestamptzLoader):
        timezone = connection.timezone

        def load(self, data):
            return datetime.max.replace(tzinfo=UTC) if data == b"infinity" else super().load(data)

    def register(adapters):
        registered.append((adapters, adapters.get_loader(TIMESTAMPTZ, TEXT)))
        adapters.register_loader(TIMESTAMPTZ, EndsInTime)

    registered = []
    yield register
    for adapters, before in registered:
        adapters.register_loader(TIMESTAMPTZ, before)


@pytest.mark.skipif(connection.Database.__name__ != "psycopg", reason="psycopg 3 alone has loaders")
@pytest.mark.parametrize("is_known_to_django", [True, False])
def test_times_are_read_by_the_loader_that_django_goes_by(user, register_loader, is_known_to_django):
    session = UserSessionFactory(user=user)
    UserSession.objects.filter(pk=session.pk).update(last_activity_at=RawSQL("'infinity'::timestamptz", ()))
    register_loader((connection.connection if is_known_to_django else connection.Database).adapters)
    found = UserSession.objects.verify(user.pk, session.pk)
    assert (found and found.last_activity_at) == (
        datetime.max.replace(tzinfo=UTC) if is_known_to_django else None
    )


def test_the_user_costs_no_query_and_can_be_pickled_and_saved(user, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    found = UserSession.objects.verify(user.pk, session.pk)
    with django_assert_num_queries(0):
        assert pickle.loads(pickle.dumps(found.user)) == found.user
        assert pickle.loads(pickle.dumps(found)).user == user
    found.user.last_name = "Lovelace"
    found.user.save()
    user.refresh_from_db()
    assert user.last_name == "Lovelace"


def test_a_manager_of_the_projects_own_is_asked(user):
    class OnlyTrusted(managers.UserSessionManager):
        def get_queryset(self):
            return super().get_queryset().filter(is_trusted=True)

    manager = OnlyTrusted()
    manager.model = UserSession
    session = UserSessionFactory(user=user)
    trusted = UserSessionFactory(user=user, is_trusted=True)
    assert manager.verify(user.pk, session.pk) is None
    assert manager.verify(user.pk, trusted.pk) == trusted


def test_a_manager_that_shows_no_row_finds_changes_and_deletes_none(user, monkeypatch, later, rf):
    """None of another tenant, where no tenant is set."""
    session = UserSessionFactory(user=user)
    later(3600)
    ended = UserSessionFactory(user=user, expired=True)
    rows = UserSession.objects.none()
    monkeypatch.setattr(managers.UserSessionManager, "get_queryset", lambda self: rows.all())
    assert UserSession.objects.verify(user.pk, session.pk) is None
    assert not activity.record(session, rf.get("/"))
    assert UserSession.objects.cleanup() == CleanupResult()
    assert set(UserSession._base_manager.all()) == {session, ended}


def test_each_database_has_its_own(user, monkeypatch, settings):
    class Primary:
        def db_for_write(self, model, **hints):
            asked.append(model)
            return "default"

        def db_for_read(self, model, **hints):
            raise AssertionError("a replica may lag")

    asked = []
    session = UserSessionFactory(user=user)
    monkeypatch.setattr(router, "routers", [Primary()])
    assert UserSession.objects.verify(user.pk, session.pk) == session
    assert asked == [UserSession]


@pytest.mark.parametrize("idle", [None, 600])
@pytest.mark.parametrize("address", [None, "2001:db8::1", "198.51.100.7"])
def test_touching_one_row_does_what_touching_rows_does(user, settings, later, rf, idle, address):
    later(0)
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": idle}
    one, other = UserSessionFactory(user=user), UserSessionFactory(user=user)
    bystander = UserSessionFactory(user=user)
    later(60)
    rows = UserSession.objects.filter(pk=other.pk)
    assert activity.record(one, rf.get("/", REMOTE_ADDR=address or "unix:"))
    assert rows.touch(address) == 1
    before = UserSession.objects.get(pk=bystander.pk)
    assert before.last_activity_at == bystander.last_activity_at
    for row in (one, other):
        row.refresh_from_db()
    assert (one.last_activity_at, one.last_ip_address) == (other.last_activity_at, other.last_ip_address)
    assert not activity.record(UserSession.objects.get(pk=one.pk), rf.get("/"))


@pytest.mark.parametrize("ended", [{"revoked": True}, {"expired": True}])
def test_touching_an_ended_row_changes_nothing(user, later, rf, ended):
    later(0)
    session = UserSessionFactory(user=user, **ended)
    later(60)
    assert not activity.record(session, rf.get("/"))
    assert UserSession.objects.get().last_activity_at == session.last_activity_at


def test_a_user_of_another_session_touches_nothing(user, later, rf):
    later(0)
    session = UserSessionFactory(user=user)
    session.user = UserFactory()
    later(60)
    assert not activity.record(session, rf.get("/"))


def test_a_touch_that_fails_spoils_its_transaction(user, later, rf):
    """As any other update does: who catches the error cannot go on as if nothing was."""
    later(0)
    session = UserSessionFactory(user=user)
    later(60)

    def fail(*args):
        raise OperationalError

    with transaction.atomic():
        with connection.execute_wrapper(fail), suppress(OperationalError):
            activity.record(session, rf.get("/"))
        assert connection.needs_rollback


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="psycopg is PostgreSQL's")
def test_psycopg_prepares_them_where_the_connection_lets_it(monkeypatch, rf):
    session = UserSessionFactory()
    long_ago = timezone.now() - timedelta(hours=1)
    options = connection.settings_dict["OPTIONS"] | {"server_side_binding": True, "prepare_threshold": 2}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    try:
        for number in range(8):
            user_id = session.user_id if number % 2 else -1
            assert UserSession.objects.verify(user_id, session.pk) == (session if number % 2 else None)
            UserSession.objects.filter(pk=session.pk).update(last_activity_at=long_ago)
            session.last_activity_at = long_ago
            assert activity.record(session, rf.get("/"))
            assert not activity.record(session, rf.get("/"))
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements")
            prepared = [statement for (statement,) in cursor.fetchall()]
    finally:
        connection.close()
    assert len([sql for sql in prepared if sql.startswith("SELECT") and "JOIN" in sql]) == 1
    assert len([sql for sql in prepared if sql.startswith("UPDATE") and "last_ip_address" in sql]) == 1

"""What databases do that cannot lock in an order or return what they update: by Django's flags, of which this
database is made to have the lesser ones."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.db import locks, ranges, updates
from sessions_ext.db.errors import is_about_locks
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.cleanup.rows import DAY, RETENTION, left, make, revoked

pytestmark = pytest.mark.django_db
DEADLOCK = OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")


@pytest.fixture(autouse=True)
def lesser_features(monkeypatch):
    for name in ("can_return_rows_from_update", "has_select_for_no_key_update", "has_select_for_update_of"):
        monkeypatch.setattr(type(connection.features), name, False, raising=False)
    for module in (locks, updates):
        monkeypatch.setattr(module, "MAX_KEYS", 2)


def test_several_rows_are_changed_and_each_is_reported_once(user):
    sessions = UserSessionFactory.create_batch(5, user=user)
    bystander = UserSessionFactory()
    rows = UserSession.objects.for_user(user)
    assert rows.trust() == 5
    assert rows.filter(user__is_active=True).revoke("first") == 5
    assert rows.revoke("second") == 0
    assert set(rows.filter(is_trusted=True, revoked_reason="first")) == set(sessions)
    bystander.refresh_from_db()
    assert bystander.is_active


def test_rows_found_through_other_tables_are_changed_and_those_alone(user):
    active, other = UserSessionFactory(user=user), UserSessionFactory(user__is_active=False)
    rows = UserSession.objects.filter(user__is_active=True)
    assert rows.distinct().trust() == 1
    assert rows.newest_first().touch() == 0
    assert rows.revoke("user") == 1
    assert set(UserSession.objects.active()) == {other}
    assert rows.delete()[0] == 1
    assert not UserSession.objects.filter(pk=active.pk).exists()


def test_what_changes_is_returned_as_it_is_stored(user):
    session = UserSessionFactory(user=user)
    assert [session.flag_suspicious("travel"), session.flag_suspicious("travel")] == [1, 2]
    assert session.record_provider_access("mail") == ["mail"]
    assert session.record_provider_access("files") == ["mail", "files"]
    session.delete()
    session.pk = UserSessionFactory.build().pk
    with pytest.raises(UserSession.DoesNotExist):
        session.flag_suspicious("travel")


def test_rows_that_are_due_are_touched(user, later):
    later(0)
    session, _ = UserSessionFactory.create_batch(2, user=user)
    later(60)
    rows = UserSession.objects.for_user(user)
    assert rows.filter(pk=session.pk).touch() == 1
    assert rows.touch() == 1
    assert rows.touch() == 0
    assert rows.filter(pk=session.pk).none().touch() == 0


def test_logins_keep_to_the_limit_and_without_one_are_let_in(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    sessions = [UserSession.objects.start(user) for _ in range(4)]
    assert set(UserSession.objects.active()) == set(sessions[2:])
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2, "ON_LIMIT": "deny"}
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    settings.SESSIONS_EXT = {"MAX_SESSIONS": None}
    UserSession.objects.start(user)
    assert UserSession.objects.active().count() == 3


@pytest.mark.parametrize("cached", [{}, {"CACHE": "default"}])
def test_rows_are_deleted(user, settings, cached):
    settings.SESSIONS_EXT = cached
    UserSessionFactory.create_batch(5, user=user)
    bystander = UserSessionFactory()
    with pytest.raises(TypeError):
        UserSession.objects.for_user(user).values("pk").delete()
    assert UserSession.objects.for_user(user).delete() == (5, {"sessions_ext.UserSession": 5})
    assert left() == {bystander}


def test_a_cleanup_goes_on_where_it_was_though_rows_are_not_compared(user, monkeypatch):
    monkeypatch.setattr(ranges, "COMPARE_ROWS", ())
    now = timezone.now()
    kept = make(user, [now + DAY, now + 2 * DAY])
    make(user, [now - DAY] * 10 + [now - 2 * DAY] * 10)
    revoked(user, [now - 2 * RETENTION] * 10)
    assert UserSession.objects.cleanup(batch_size=3, max_rows=4) == CleanupResult(4, 0, False)
    assert UserSession.objects.cleanup(batch_size=3) == CleanupResult(16, 10, True)
    assert left() == set(kept)


def test_so_do_payloads_whose_index_has_one_column(monkeypatch):
    monkeypatch.setattr(ranges, "COMPARE_ROWS", ())
    now = timezone.now()
    for number in range(-2, 10):
        Session.objects.create(session_key=f"key {number}", expire_date=now - number // 3 * DAY)
    assert UserSession.objects.cleanup(batch_size=2).payloads == 10
    assert Session.objects.count() == 2


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_rows_are_locked_where_no_wait_can_be_shortened(monkeypatch):
    monkeypatch.setattr(connections["other"].features, "has_select_for_update", True)
    users = get_user_model().objects.using("other")
    users.create(username="wystan")
    assert locks.lock_briefly(users.all, "other", lambda rows: rows.count()) == 1


def failing(times, error):
    """Each UPDATE fails that often."""
    failed = []

    def fail(execute, sql, *arguments):
        if sql.startswith("UPDATE") and len(failed) < times:
            failed.append(sql)
            raise error
        return execute(sql, *arguments)

    return connection.execute_wrapper(fail)


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_tried_again_and_reported_at_last():
    user = UserFactory()
    UserSessionFactory.create_batch(2, user=user)
    rows = UserSession.objects.for_user(user)
    with failing(updates.TRIES, DEADLOCK), pytest.raises(OperationalError):
        rows.revoke("user")
    with failing(1, OperationalError("gone away")), pytest.raises(OperationalError):
        rows.revoke("user")
    with pytest.raises(OperationalError), transaction.atomic(), failing(1, DEADLOCK):
        rows.revoke("user")
    assert rows.active().count() == 2
    with failing(updates.TRIES - 1, DEADLOCK):
        assert rows.revoke("user") == 2


def test_errors_about_locks_are_known_by_their_numbers_too():
    assert is_about_locks(DEADLOCK)
    assert not is_about_locks(OperationalError(2006, "Server has gone away"))
    assert not is_about_locks(OperationalError())


def test_where_no_index_can_be_partial_it_has_all_rows(monkeypatch):
    monkeypatch.setattr(type(connection.features), "supports_partial_indexes", False)
    editor = connection.SchemaEditorClass(connection, collect_sql=True)
    sql = {index.name: str(index.create_sql(UserSession, editor)) for index in UserSession._meta.indexes}
    assert "WHERE" not in "".join(sql.values())
    quoted = [connection.ops.quote_name(name) for name in ("is_revoked", "expires_at", "id")]
    assert f"({', '.join(quoted)})" in sql["sessions_ext_expiry"]
    assert "revoked_at" not in sql["sessions_ext_impersonator"]

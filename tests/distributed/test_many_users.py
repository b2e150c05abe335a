"""What concerns many users goes user by user where the table is distributed, with the same results."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext

from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.cleanup.locks import held, locking, on_postgresql

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[False, True], ids=["on one node", "distributed"])
def distributed(request, settings):
    settings.SESSIONS_EXT = {"DISTRIBUTED": request.param, "TOUCH_INTERVAL": 60}
    return request.param


@pytest.fixture
def of_two_users():
    return [UserSessionFactory(user=user) for user in UserFactory.create_batch(2) for _ in range(2)]


@pytest.mark.usefixtures("distributed")
def test_a_revoke_ends_all_and_is_told_of_once(of_two_users, receiver_of, django_capture_on_commit_callbacks):
    sent = receiver_of(session_revoked)
    with django_capture_on_commit_callbacks(execute=True):
        assert UserSession.objects.active().revoke("admin") == 4
    assert UserSession.objects.active().revoke("again") == 0
    assert set(UserSession.objects.values_list("is_revoked", "revoked_reason")) == {(True, "admin")}
    (signal,) = sent
    assert set(signal["session_ids"]) == {session.pk for session in of_two_users}
    assert signal["user_ids"] == {session.user_id for session in of_two_users}


@pytest.mark.usefixtures("distributed", "of_two_users")
def test_trust_and_touch_count_the_rows_of_all(later):
    assert UserSession.objects.all().trust() == 4
    assert UserSession.objects.filter(is_trusted=True).untrust() == 4
    assert UserSession.objects.filter(is_trusted=True).untrust() == 0
    later(60)
    assert UserSession.objects.all().touch() == 4
    assert UserSession.objects.all().touch() == 0


@on_postgresql
@pytest.mark.usefixtures("of_two_users")
def test_rows_are_locked_user_by_user_and_users_in_order(distributed):
    with CaptureQueriesContext(connection) as queries:
        UserSession.objects.active().revoke("admin")
    updates = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    users = sorted(set(UserSession.objects.values_list("user_id", flat=True)))
    assert len(updates) == (2 if distributed else 1)
    if distributed:
        for user, sql in zip(users, updates, strict=True):
            assert f'"user_id" = {user}' in sql


@pytest.mark.usefixtures("distributed")
def test_no_query_looks_for_users_where_one_is_named(user):
    UserSessionFactory.create_batch(2, user=user)
    with CaptureQueriesContext(connection) as queries:
        assert UserSession.objects.for_user(user).active().revoke("admin") == 2
    assert not [query["sql"] for query in queries if "DISTINCT" in query["sql"]]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_revoke_that_fails_for_one_user_ends_nobodys_sessions(of_two_users, settings):
    settings.SESSIONS_EXT = {"DISTRIBUTED": True}

    def fail_for_the_last(execute, sql, params, *arguments):
        if sql.startswith("UPDATE") and of_two_users[-1].user_id in params:
            raise ZeroDivisionError
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(fail_for_the_last), pytest.raises(ZeroDivisionError):
        UserSession.objects.active().revoke("admin")
    assert not UserSession.objects.revoked().exists()


@pytest.mark.usefixtures("of_two_users")
def test_a_delete_with_a_cache_ends_all(settings):
    settings.SESSIONS_EXT = {"DISTRIBUTED": True, "CACHE": "default"}
    cache.clear()
    assert UserSession.objects.all().delete()[0] == 4
    assert not UserSession.objects.exists()


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.parametrize("is_received", [False, True])
def test_a_cleanup_goes_round_locked_rows(distributed, is_received, monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0)
    monkeypatch.setattr("sessions_ext.cleanup.RETRIES", 1)
    user = UserFactory()
    kept, *_ = [UserSessionFactory(user=each, expired=True) for each in (user, user, UserFactory())]
    deleted = []

    def receive(instance, **kwargs):
        deleted.append(instance.user_id)

    with held(locking(kept)):
        if is_received:
            post_delete.connect(receive, sender=UserSession)
        try:
            result = UserSession.objects.cleanup()
        finally:
            post_delete.disconnect(receive, sender=UserSession)
    assert (result.expired, result.is_complete) == (2, False)
    assert UserSession.objects.get() == kept
    assert len(deleted) == 2 * is_received


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_the_nodes_are_told_to_give_way_to_locks_as_well():
    UserSessionFactory(expired=True)
    with CaptureQueriesContext(connection) as queries:
        UserSession.objects.cleanup()
    settings = next(query["sql"] for query in queries if "lock_timeout" in query["sql"])
    assert settings.startswith("SET LOCAL citus.propagate_set_commands = 'local'")

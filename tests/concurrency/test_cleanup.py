"""Cleanups against each other, against revokes and behind a lock."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.cleanup.locks import held, when_met
from tests.concurrency.sessions import make_sessions
from tests.threads import at_once, in_step

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6


def test_two_cleanups_at_once_delete_exactly_the_dead_rows(user, settings):
    day = timedelta(days=1)
    now = timezone.now()
    size = 500
    ended = {"is_revoked": True, "revoked_reason": "user"}
    make_sessions(user, size, expires_at=now - day)
    make_sessions(user, size, revoked_at=now - 40 * day, **ended)
    kept = [
        *make_sessions(user, 200),
        *make_sessions(user, 200, revoked_at=now - day, **ended),
        *make_sessions(user, 200, revoked_at=now - day, expires_at=now - day, **ended),
    ]
    rows = UserSession.objects.for_user(user)
    started = []

    def use():
        for session in kept[:100]:
            rows.filter(pk=session.pk).touch()
            started.append(UserSession.objects.start(user))

    *cleaned, _ = at_once([lambda: UserSession.objects.cleanup(batch_size=100)] * 2 + [use])
    assert sum(result.expired for result in cleaned) == size
    assert sum(result.revoked for result in cleaned) == size
    assert set(rows.values_list("pk", flat=True)) == {session.pk for session in [*kept, *started]}


def make_dead_sessions(users):
    UserSession.objects.all().delete()
    for user in users:
        make_sessions(user, 100, expires_at=timezone.now() - timedelta(days=1))


def test_cleanups_never_deadlock_with_each_other():
    """F21: cleanups with different batches, without an error."""
    users = UserFactory.create_batch(3)
    in_step(
        ROUNDS,
        lambda: make_dead_sessions(users),
        lambda: UserSession.objects.cleanup(batch_size=7),
        lambda: UserSession.objects.cleanup(batch_size=50),
        lambda: UserSession.objects.cleanup(batch_size=1000),
    )
    assert UserSession.objects.count() == 0


def test_cleanups_never_deadlock_with_a_revoke():
    """F21: a cleanup against a revoke of everyone and of each user, without an error."""
    users = UserFactory.create_batch(3)
    in_step(
        ROUNDS,
        lambda: make_dead_sessions(users),
        lambda: UserSession.objects.cleanup(),
        lambda: UserSession.objects.all().revoke("admin"),
        lambda: [UserSession.objects.for_user(user).revoke("user") for user in users],
    )
    assert UserSession.objects.expired().count() == 0


def changing(session):
    return f"UPDATE sessions_ext_usersession SET location = 'here' WHERE id = '{as_stored(session.pk)}'"


def as_stored(pk):
    return UserSession._meta.pk.get_db_prep_value(pk, connection)


def test_a_cleanup_waits_for_a_locked_row_and_does_not_skip_it(user, monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.01)
    sessions = make_sessions(user, 20, expires_at=timezone.now() - timedelta(days=1))
    with held(changing(sessions[7])) as let_go, when_met(let_go):
        assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(20, 0, True)
    assert not UserSession.objects.exists()


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="no statement of it waits on MariaDB")
def test_a_cleanup_that_may_not_wait_says_so(user):
    sessions = make_sessions(user, 20, expires_at=timezone.now() - timedelta(days=1))
    impatient = {
        "postgresql": "SET statement_timeout = 50",
        "sqlite": "PRAGMA busy_timeout = 50",
    }[connection.vendor]
    with held(changing(sessions[7])), connection.cursor() as cursor:
        cursor.execute(impatient)
        with pytest.raises(OperationalError):
            UserSession.objects.cleanup()
    connection.close()  # the next one is patient
    assert UserSession.objects.count() == 20

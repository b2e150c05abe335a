"""Revokes against each other, and against everything else."""

import random
import threading
from collections import Counter

import pytest
from django.contrib import auth
from django.utils import timezone

from sessions_ext import activity
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.concurrency.sessions import active, limited, make_sessions
from tests.threads import at_once, in_step, scaled

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 10


# Revoke against revoke


def test_racing_revokes_each_end_their_own(user, revoked_ids):
    sessions = make_sessions(user, 200)
    numbers = at_once(
        [lambda reason=str(number): UserSession.objects.for_user(user).revoke(reason) for number in range(16)]
    )
    reasons = Counter(UserSession.objects.values_list("revoked_reason", flat=True))
    assert reasons == Counter({str(number): ended for number, ended in enumerate(numbers) if ended})
    assert sum(numbers) == len(sessions)
    assert sorted(revoked_ids) == sorted(session.pk for session in sessions)


def test_revokes_of_the_same_rows_in_any_order_never_deadlock(user):
    """F21: sets of rows that overlap, named in different ways, are revoked at once without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 200)]

    def by_id(select=lambda ids: ids):
        return lambda: UserSession.objects.filter(pk__in=select(ids)).revoke("user")

    in_step(
        ROUNDS,
        prepare,
        lambda: rows.revoke("user"),
        lambda: rows.newest_first().revoke("user"),
        by_id(),
        by_id(lambda ids: ids[::-1]),
        by_id(lambda ids: random.sample(ids, 100)),
        lambda: rows.exclude(pk=ids[100]).revoke("user"),
    )
    assert active(user).count() == 0


# Revoke against everything else


def test_revoke_all_never_deadlocks_with_logins(user, settings):
    """F21: revoke-all against start and enforce_limit of the same user, without an error."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    rows = UserSession.objects.for_user(user)

    def prepare():
        rows.delete()
        make_sessions(user, 100)

    in_step(
        ROUNDS,
        prepare,
        lambda: rows.revoke("user"),
        lambda: UserSession.objects.start(user),
        lambda: UserSession.objects.enforce_limit(user),
        lambda: UserSession.objects.start(user),
    )
    assert active(user).count() <= 2


def test_revoke_all_never_deadlocks_with_touches_of_one_row(user):
    """F21: revoke-all against the touches of requests, without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 50)]

    in_step(
        ROUNDS,
        prepare,
        lambda: rows.revoke("user"),
        lambda: [rows.filter(pk=pk).touch() for pk in ids[:10]],
        lambda: [rows.filter(pk=pk).touch() for pk in ids[:-11:-1]],
    )
    assert active(user).count() == 0


def test_revoke_all_never_deadlocks_with_touches_of_many_rows(user):
    """F21: revoke-all against touches of a set of rows, without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 100)]

    in_step(
        scaled(20, 8),
        prepare,
        lambda: rows.revoke("user"),
        lambda: rows.touch("192.0.2.7"),
        lambda: UserSession.objects.filter(pk__in=ids[::-1]).touch(),
    )
    assert active(user).count() == 0


def test_the_end_of_a_user_never_deadlocks_with_a_revoke(settings):
    """F21: deleting users against revoking their sessions, without an error."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    users = []

    def prepare():
        users[:] = [UserFactory()]
        make_sessions(users[0], 50)

    in_step(
        scaled(20, 8),
        prepare,
        lambda: auth.get_user_model().objects.filter(pk=users[0].pk).delete(),
        lambda: UserSession.objects.for_user(users[0]).revoke("user"),
        lambda: UserSession.objects.for_user(users[0]).touch(),
    )
    assert UserSession.objects.count() == 0


# F18


def test_a_touch_never_revives_a_revoked_session(user, settings):
    """F18: a touch that races a revoke leaves the row ended, and none succeeds once revoke() returned."""
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    sessions, touched_after = [], []
    revoked = threading.Event()

    def prepare():
        revoked.clear()
        sessions.append(UserSession.objects.start(user))

    def touch():
        for _ in range(1000):
            was_revoked = revoked.is_set()
            touched = UserSession.objects.filter(pk=sessions[-1].pk).touch()
            touched += activity.record(
                UserSession.objects.get(pk=sessions[-1].pk), None, expires_at=timezone.now()
            )
            if was_revoked:
                touched_after.append(touched)
                return

    def revoke():
        UserSession.objects.filter(pk=sessions[-1].pk).revoke("user")
        revoked.set()

    in_step(ROUNDS, prepare, touch, touch, touch, revoke)
    assert set(touched_after) == {0}
    assert UserSession.objects.active().count() == 0
    assert UserSession.objects.revoked().count() == len(sessions)


def test_a_touch_never_revives_a_deleted_session(user, settings):
    """F18: a row that is deleted during touches stays deleted."""
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    sessions = []

    def prepare():
        sessions[:] = [UserSession.objects.start(user)]

    def touch():
        for _ in range(5):
            activity.record(sessions[0], None)
            UserSession.objects.filter(pk=sessions[0].pk).touch()

    in_step(ROUNDS, prepare, touch, touch, lambda: UserSession.objects.filter(pk=sessions[0].pk).delete())
    assert UserSession.objects.count() == 0

"""What is deleted, when, and that nothing else is."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.cleanup.command import expiring, revoked, run
from tests.cleanup.rows import DAY, NOW, RETENTION, TICK, left

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


def test_the_command_deletes_what_is_over_and_says_how_many(user):
    kept = {expiring(NOW + DAY, user), revoked(NOW - DAY, user)}
    for days in range(3):
        expiring(NOW - (1 + days) * DAY, user)
    for days in range(2):
        revoked(NOW - RETENTION - (1 + days) * DAY, user)
    assert run() == "Deleted 3 expired and 2 revoked sessions."
    assert left() == kept
    assert run() == "Deleted 0 expired and 0 revoked sessions."
    assert left() == kept


@pytest.mark.parametrize(
    ("expires_at", "goes"), [(NOW - TICK, True), (NOW, False), (NOW + TICK, False), (NOW - 9999 * DAY, True)]
)
def test_an_expired_session_goes_to_the_microsecond(user, expires_at, goes):
    session = expiring(expires_at, user)
    assert UserSession.objects.cleanup() == CleanupResult(goes, 0, True)
    assert left() == (set() if goes else {session})


@pytest.mark.parametrize(
    ("expires_at", "goes"), [(NOW - DAY - TICK, True), (NOW - DAY, False), (NOW - TICK, False)]
)
def test_before_moves_the_mark_of_expiry_alone(user, expires_at, goes):
    kept = {revoked(NOW - RETENTION, user)} | (set() if goes else {expiring(expires_at, user)})
    if goes:
        expiring(expires_at, user)
    assert UserSession.objects.cleanup(before=NOW - DAY) == CleanupResult(goes, 0, True)
    assert left() == kept


@pytest.mark.parametrize(
    ("retention", "revoked_at", "goes"),
    [
        (RETENTION, NOW - RETENTION - TICK, True),
        (RETENTION, NOW - RETENTION, False),
        (RETENTION, NOW - RETENTION + TICK, False),
        (timedelta(0), NOW - TICK, True),
        (timedelta(0), NOW, False),
        (DAY, NOW - DAY - TICK, True),
    ],
)
@pytest.mark.parametrize("expires_at", [NOW - 400 * DAY, NOW + DAY])
def test_a_revoked_session_is_kept_for_its_retention_whenever_it_expires(
    user, retention, revoked_at, goes, expires_at
):
    session = revoked(revoked_at, user, expires_at=expires_at)
    with override_settings(SESSIONS_EXT={"REVOKED_RETENTION": retention}):
        assert UserSession.objects.cleanup() == CleanupResult(0, goes, True)
    assert left() == (set() if goes else {session})


@pytest.mark.parametrize(("days", "left_of"), [(0, "none"), (30, "some"), (60, "all")])
def test_an_expired_session_is_kept_for_a_retention_of_its_own(user, days, left_of):
    young, old, ended = (
        expiring(NOW - 30 * DAY, user),
        expiring(NOW - 30 * DAY - TICK, user),
        revoked(NOW - DAY, user),
    )
    kept = {"none": {ended}, "some": {ended, young}, "all": {ended, young, old}}[left_of]
    with override_settings(SESSIONS_EXT={"EXPIRED_RETENTION": days * DAY}):
        counted = UserSession.objects.preview_cleanup().expired
        assert sum(counted.values()) == 3 - len(kept)
        assert run() == f"Deleted {3 - len(kept)} expired and 0 revoked sessions."
        assert left() == kept
        # Whoever names a time means that time.
        assert UserSession.objects.cleanup(before=NOW).expired == len(kept) - 1
    assert left() == {ended}


def test_a_session_goes_when_its_time_has_come(user):
    expiring(NOW + DAY, user)
    revoked(NOW, user)
    assert run() == "Deleted 0 expired and 0 revoked sessions."
    with time_machine.travel(NOW + DAY + TICK, tick=False):
        assert run() == "Deleted 1 expired and 0 revoked sessions."
    with time_machine.travel(NOW + RETENTION + TICK, tick=False):
        assert run() == "Deleted 0 expired and 1 revoked sessions."
    assert not left()


def test_an_idle_session_stays_until_it_expires(user):
    session = expiring(NOW + DAY, user, last_activity_at=NOW - 5 * DAY)
    with override_settings(SESSIONS_EXT={"IDLE_TIMEOUT": 60}):
        assert UserSession.objects.cleanup() == CleanupResult(0, 0, True)
    assert left() == {session}


@pytest.mark.parametrize("before", [None, NOW, NOW - DAY])
@pytest.mark.parametrize("batch_size", [1, 2, 5000])
def test_an_active_session_is_never_deleted(user, before, batch_size):
    active = {expiring(NOW + DAY, user), expiring(NOW + RETENTION, user)}
    expiring(NOW - 2 * DAY, user)
    UserSession.objects.cleanup(before=before, batch_size=batch_size)
    assert left() == active


def test_a_mark_in_the_future_ends_nobody(user):
    session = expiring(NOW + DAY, user)
    for before in (NOW + TICK, NOW + 2 * DAY):
        with pytest.raises(ValueError, match="before is in the future"):
            UserSession.objects.cleanup(before=before)
    assert left() == {session}


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 6, 10, 23])
def test_more_rows_than_a_batch_are_all_deleted(user, rows):
    kept = {expiring(NOW, user), revoked(NOW - RETENTION, user)}
    for number in range(rows):
        expiring(NOW - (1 + number) * TICK, user)
        revoked(NOW - RETENTION - (1 + number) * TICK, user)
    assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(rows, rows, True)
    assert left() == kept


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8])
def test_rows_that_ended_at_the_same_time_are_all_deleted(user, batch_size):
    kept = {expiring(NOW, user)}
    for at in (NOW - DAY, NOW - DAY, NOW - DAY, NOW - TICK, NOW - 2 * DAY, NOW - DAY, NOW - DAY):
        expiring(at, user)
        revoked(at - RETENTION, user)
    assert UserSession.objects.cleanup(batch_size=batch_size) == CleanupResult(7, 7, True)
    assert left() == kept


def test_no_statement_deletes_more_than_a_batch(user):
    sizes = []

    def count(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            sizes.append(context["cursor"].rowcount)
        return result

    for number in range(23):
        expiring(NOW - (1 + number) * TICK, user)
    with connection.execute_wrapper(count):
        UserSession.objects.cleanup(batch_size=5)
    assert (sum(sizes), max(sizes)) == (23, 5)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_below_one_is_refused_and_deletes_nothing(user, batch_size):
    session = expiring(NOW - DAY, user)
    with pytest.raises(ValueError, match="batch_size"):
        UserSession.objects.cleanup(batch_size=batch_size)
    assert left() == {session}


@pytest.mark.django_db(databases=["default", "other"])
def test_the_command_cleans_the_database_that_is_named(user):
    here = expiring(NOW - DAY, user)
    stranger = get_user_model()(username="stranger")
    stranger.save(using="other")
    there = UserSessionFactory.build(user=stranger, expires_at=NOW - DAY)
    there.save(using="other")
    assert run(database="other") == "Deleted 1 expired and 0 revoked sessions."
    assert left() == {here}
    assert not UserSession.objects.using("other").exists()

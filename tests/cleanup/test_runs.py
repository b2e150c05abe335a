"""A run goes in bounded batches, stops where it is told to, and counts exactly what went."""

import time
from contextlib import nullcontext
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from sessions_ext.cleanup import AGES, CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.signals import sessions_cleaned
from sessions_ext.testing import UserFactory
from tests.cleanup.rows import DAY, NOW, RETENTION, TICK, deletes, expired, left, make, revoked

pytestmark = pytest.mark.django_db


def either_way(test):
    """A batch may be one message of several statements outside of a transaction, and is not within one."""
    arounds = pytest.mark.parametrize("around", [nullcontext, transaction.atomic], ids=["alone", "within"])
    return pytest.mark.django_db(transaction=True)(arounds(test))


@pytest.mark.usefixtures("frozen", "project")
@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_rows_that_ended_in_one_moment_go_in_bounded_batches(user, how):
    """A bulk revoke gives all of its rows one revoked_at."""
    at = NOW - RETENTION - DAY
    kept = expired(user, 0) + make(user, [NOW])
    times = [at - TICK] * 3 + [at] * 40 + [at + TICK] * 3
    make(user, times) if how == "expired" else revoked(user, times)
    with deletes() as sizes:
        cleaned = UserSession.objects.cleanup(batch_size=7)
    assert getattr(cleaned, how) == 46
    assert max(sizes) == 7
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen", "project")
@pytest.mark.parametrize("max_rows", [1, 2, 3, 7, 9, 10, 11, 19, 20, 21])
@pytest.mark.parametrize("step", [TICK, timedelta(0)])
def test_max_rows_is_held_exactly(user, max_rows, step):
    expired(user, 10, step)
    revoked(user, [NOW - 2 * RETENTION - number * step for number in range(10)])
    cleaned = UserSession.objects.cleanup(batch_size=3, max_rows=max_rows)
    assert cleaned.total == min(max_rows, 20)
    assert len(left()) == 20 - min(max_rows, 20)
    assert cleaned.is_complete == (max_rows >= 20)
    assert UserSession.objects.cleanup(batch_size=3).is_complete
    assert not left()


@pytest.mark.usefixtures("frozen", "project")
def test_a_run_that_is_stopped_loses_nothing_and_the_next_one_finishes(user):
    kept = make(user, [NOW, NOW + DAY])
    expired(user, 20)
    revoked(user, [NOW - 2 * RETENTION] * 10)
    seen = []
    cleaned = UserSession.objects.cleanup(
        batch_size=5, progress=seen.append, should_stop=lambda: len(seen) == 2
    )
    assert cleaned == CleanupResult(10, 0, False)
    assert seen == [CleanupResult(5, 0, False), CleanupResult(10, 0, False)]
    assert len(left()) == 2 + 20
    assert UserSession.objects.cleanup() == CleanupResult(10, 10, True)
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
def test_a_stop_after_the_last_row_is_no_stop(user):
    expired(user, 10)
    seen = []
    assert UserSession.objects.cleanup(
        batch_size=5, progress=seen.append, should_stop=lambda: len(seen) == 2
    ) == CleanupResult(10, 0, True)


def test_max_seconds_ends_a_run_and_a_pause(user, clock):
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(6)])
    assert UserSession.objects.cleanup(batch_size=2, sleep=60, max_seconds=0.3) == CleanupResult(2, 0, False)
    assert 0.3 <= clock.now < 0.5
    assert UserSession.objects.cleanup(max_seconds=0) == CleanupResult(0, 0, False)
    assert UserSession.objects.cleanup(max_seconds=600) == CleanupResult(4, 0, True)


def test_it_sleeps_between_batches(user):
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(6)])
    start = time.monotonic()
    assert UserSession.objects.cleanup(batch_size=2, sleep=0.15) == CleanupResult(6, 0, True)
    assert time.monotonic() - start >= 0.3


@pytest.mark.usefixtures("frozen")
def test_retention_overrides_the_setting(user):
    kept = revoked(user, [NOW - DAY])
    revoked(user, [NOW - DAY - TICK])
    assert UserSession.objects.cleanup(retention=2 * DAY) == CleanupResult(0, 0, True)
    assert UserSession.objects.cleanup(retention=24 * 3600) == CleanupResult(0, 1, True)
    assert left() == set(kept)
    assert UserSession.objects.cleanup(retention=0) == CleanupResult(0, 1, True)


@pytest.mark.usefixtures("frozen")
def test_active_sessions_go_only_when_that_is_asked_for(user):
    kept = make(user, [NOW + DAY])
    make(user, [NOW + DAY - TICK])
    with pytest.raises(ValueError, match="before is in the future"):
        UserSession.objects.cleanup(before=NOW + DAY)
    with pytest.raises(ValueError, match="before is in the future"):
        UserSession.objects.preview_cleanup(before=NOW + DAY)
    assert UserSession.objects.preview_cleanup(before=NOW + DAY, include_active=True).expired == {
        "still active": 1
    }
    assert UserSession.objects.cleanup(before=NOW + DAY, include_active=True) == CleanupResult(1, 0, True)
    assert left() == set(kept)


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -5),
        ("sleep", -0.1),
        ("sleep", float("nan")),
        ("sleep", float("inf")),
        ("max_rows", 0),
        ("max_rows", -1),
        ("max_seconds", -1),
        ("max_seconds", float("inf")),
        ("retention", -1),
        ("retention", "30 days"),
        ("retention", timedelta(days=-1)),
        ("retention", timedelta.max),
    ],
)
def test_a_bound_that_cannot_be_meant_is_named_and_deletes_nothing(user, bound, value):
    rows = expired(user, 1) + revoked(user, [NOW - 2 * RETENTION])
    with pytest.raises(ValueError, match=f"{bound} must be "):
        UserSession.objects.cleanup(**{bound: value})
    assert left() == set(rows)


@pytest.mark.usefixtures("frozen")
def test_the_preview_counts_exactly_what_goes_by_reason_and_age(user):
    make(user, [NOW, NOW + DAY])
    revoked(user, [NOW - RETENTION])
    make(user, [NOW - TICK, NOW - DAY + TICK, NOW - DAY, NOW - 7 * DAY, NOW - 400 * DAY])
    revoked(user, [NOW - RETENTION - TICK] * 2)
    revoked(user, [NOW - 89 * DAY, NOW - 90 * DAY, NOW - 365 * DAY], revoked_reason="stolen laptop")
    preview = UserSession.objects.preview_cleanup()
    assert preview.expired == {"under a day": 2, "1 to 7 days": 1, "7 to 30 days": 1, "over a year": 1}
    assert preview.revoked == {
        "user": {"30 to 90 days": 2},
        "stolen laptop": {"30 to 90 days": 1, "90 to 365 days": 1, "over a year": 1},
    }
    assert {*preview.expired, *preview.revoked["stolen laptop"]} <= set(AGES)
    assert UserSession.objects.cleanup() == CleanupResult(5, 5, True)


@pytest.mark.usefixtures("frozen")
def test_the_counts_are_sent_once_for_a_run(user, receiver_of, django_capture_on_commit_callbacks):
    received = receiver_of(sessions_cleaned)
    expired(user, 5)
    revoked(user, [NOW - 2 * RETENTION] * 2)
    with django_capture_on_commit_callbacks(execute=True):
        UserSession.objects.cleanup(batch_size=2, max_rows=6)
    assert [each.pop("seconds") > 0 for each in received] == [True]
    assert received == [{"expired": 5, "revoked": 1, "is_complete": False, "payloads": 0}]


def test_the_counts_read_as_words():
    result = CleanupResult(1, 2, False, 4)
    assert repr(result) == "CleanupResult(expired=1, revoked=2, is_complete=False, payloads=4)"
    assert result.total == 7


@pytest.mark.usefixtures("frozen")
def test_rows_of_an_outer_transaction_that_is_undone_are_there_again(user):
    rows = expired(user, 20)
    with transaction.atomic():
        assert UserSession.objects.cleanup(batch_size=3) == CleanupResult(20, 0, True)
        transaction.set_rollback(True)
    assert left() == set(rows)


@either_way
@pytest.mark.usefixtures("frozen")
def test_it_goes_on_to_the_microsecond_where_times_have_no_zone(settings, around):
    settings.USE_TZ = False
    settings.TIME_ZONE = "UTC"
    connection.ensure_timezone()
    try:
        user = UserFactory()
        before = datetime(2030, 1, 30, 12)  # noqa: DTZ001
        make(user, [before - number * TICK for number in range(1, 61)])
        kept = make(user, [before, before + TICK])
        with around():
            assert UserSession.objects.cleanup(before=before, batch_size=1) == CleanupResult(60, 0, True)
        assert left() == set(kept)
    finally:
        settings.USE_TZ = True
        connection.ensure_timezone()


@either_way
@pytest.mark.usefixtures("frozen")
def test_the_filter_of_a_projects_manager_is_obeyed(monkeypatch, around):
    nasty = "$$ 'quoted' %s %% {braces} \\ ; DELETE; -- %(a)s"
    user, end = UserFactory(), NOW - DAY
    make(user, [end - number * TICK for number in range(20)], device_info=nasty)
    kept = make(user, [end])
    rows = UserSession.objects.filter(device_info=nasty)
    monkeypatch.setattr(type(UserSession.objects), "get_queryset", lambda self: rows.all())
    with around():
        assert UserSession.objects.cleanup(batch_size=3) == CleanupResult(20, 0, True)
    assert set(UserSession._base_manager.all()) == set(kept)

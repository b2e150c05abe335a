"""The figures behind the admin's pictures."""

import random
from datetime import datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone, translation

from sessions_ext.admin import overview as module
from sessions_ext.admin.overview import newest_clients, overview
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_utc(settings, later):
    """And no day ends amid a test."""
    settings.TIME_ZONE = "UTC"


def ago(**duration):
    return timezone.now() - timedelta(**duration)


def by_day(series):
    return dict(zip([(series.days[-1] - day).days for day in series.days], series.numbers, strict=True))


def figures(bars):
    return {bar.label: bar.number for bar in bars}


def test_an_empty_table_gives_an_empty_page():
    empty = overview()
    assert (empty.active, empty.is_estimate, empty.sampled) == (0, False, 0)
    assert set(empty.activity.numbers) == set(empty.sign_ins.numbers) == {0}
    assert empty.reasons == empty.devices == empty.countries == empty.users == []


def test_sign_ins_are_counted_by_day():
    for days in (0, 3, 3, 29, 45):
        UserSessionFactory(created_at=ago(days=days))
    counted = by_day(overview().sign_ins)
    assert (counted[0], counted[3], counted[29]) == (1, 2, 1)
    assert (len(counted), sum(counted.values())) == (30, 4)


def test_activity_is_told_back_from_now():
    UserSessionFactory(created_at=ago(days=40), expires_at=timezone.now() + timedelta(days=1))
    UserSessionFactory(created_at=ago(days=10), revoked=True, revoked_at=ago(days=5))
    UserSessionFactory(created_at=ago(days=20), expires_at=ago(days=2))
    counted = by_day(overview().activity)
    told = {days: counted[days] for days in (29, 21, 20, 11, 10, 6, 5, 3, 2, 0)}
    assert told == {29: 1, 21: 1, 20: 2, 11: 2, 10: 3, 6: 3, 5: 2, 3: 2, 2: 1, 0: 1}


@pytest.mark.parametrize("idle_timeout", [None, 3 * 86400])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_activity_is_what_counting_each_day_gives(settings, zone, idle_timeout):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": idle_timeout}
    settings.TIME_ZONE = zone
    dice, now, user, lives, rows = random.Random(4), timezone.now(), UserFactory(), [], []
    for _ in range(120):
        created_at = now - timedelta(seconds=dice.randint(0, 60 * 86400))
        expires_at = created_at + timedelta(seconds=dice.randint(3600, 30 * 86400))
        last_activity_at = created_at + dice.random() * (min(expires_at, now) - created_at)
        end = min(expires_at, last_activity_at + timedelta(seconds=idle_timeout or 30 * 86400))
        times = {"created_at": created_at, "expires_at": expires_at, "last_activity_at": last_activity_at}
        if dice.random() < 0.3:
            end = last_activity_at
            times |= {"revoked": True, "revoked_at": end}
        rows.append(UserSessionFactory.build(user=user, **times))
        lives.append((created_at, end))
    UserSession.objects.bulk_create(rows)
    activity = overview().activity
    assert len(set(activity.numbers)) > 10
    for day, number in zip(activity.days, activity.numbers, strict=True):
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) + timedelta(days=1)
        assert number == sum(start <= min(midnight, now) < end for start, end in lives)


def test_an_end_by_idleness_has_its_own_name_and_list(settings):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600}
    UserSessionFactory.create_batch(2, created_at=ago(days=9), last_activity_at=ago(days=8))
    UserSessionFactory(created_at=ago(days=9), last_activity_at=ago(days=8), expires_at=ago(days=1))
    assert {bar.label: (bar.number, bar.query) for bar in overview().reasons} == {
        "Idle": (2, "?state=idle"),
        "Expired": (1, "?state=expired"),
    }


def test_ends_are_counted_by_reason_and_lead_to_the_list():
    for reason in ("limit", "limit", "admin", "admin: stolen laptop", "admin: fire", "theft", "heat"):
        UserSessionFactory(revoked=True, revoked_reason=reason)
    UserSessionFactory(revoked=True, revoked_at=ago(days=31))
    UserSessionFactory(created_at=ago(days=9), expires_at=ago(days=1))
    ends = overview().reasons
    assert figures(ends) == {"By an administrator": 3, "Too many devices": 2, "Other": 2, "Expired": 1}
    assert [bar.percent for bar in ends] == [100, 66.7, 66.7, 33.3]
    assert {bar.label: bar.query for bar in ends} == {
        "By an administrator": "?reason=admin",
        "Too many devices": "?reason=limit",
        "Other": "",
        "Expired": "?state=expired",
    }


def test_devices_and_countries_are_of_the_newest_sign_ins(monkeypatch):
    monkeypatch.setattr(module, "NEWEST", 3)
    UserSessionFactory(device_info="Mosaic on Irix", location="Paris, FR")
    for location in ("Porto, PT", "Lisboa, PT", ""):
        UserSessionFactory(device_info="", location=location)
    clients = newest_clients()
    assert (clients.devices, clients.countries) == ({"": 3}, {"PT": 2, "": 1})
    shown = overview()
    assert figures(shown.devices) == {"Unknown": 3}
    assert figures(shown.countries) == {"PT": 2, "Unknown": 1}
    assert shown.sampled == 3


def test_users_are_ranked_by_active_sessions():
    busy, quiet = UserFactory(), UserFactory()
    UserSessionFactory.create_batch(3, user=busy)
    UserSessionFactory(user=quiet)
    UserSessionFactory.create_batch(5, user=quiet, revoked=True)
    ranked = overview().users
    assert [(bar.label, bar.number) for bar in ranked] == [(str(busy), 3), (str(quiet), 1)]
    assert unquote(ranked[0].query) == f"?user={busy.pk}&state=active"


@pytest.mark.parametrize("has_sliced_subqueries", [True, False])
def test_past_the_bound_nothing_is_counted_through(monkeypatch, has_sliced_subqueries):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no estimate, and counts")
    if not has_sliced_subqueries:  # as on MariaDB
        monkeypatch.setattr(type(connection.features), "allow_sliced_subqueries_with_in", False)
    UserSessionFactory.create_batch(4)
    monkeypatch.setattr(module, "COUNTED_AT_MOST", 2)
    monkeypatch.setattr(module, "NEWEST", 2)
    bounded = overview()
    assert bounded.is_estimate
    assert bounded.active > 2
    assert bounded.activity is None is bounded.sign_ins
    newest = UserSession.objects.order_by("-pk")[:2]
    assert {bar.label for bar in bounded.users} == {str(session.user) for session in newest}


def test_it_takes_seven_statements_and_none_for_a_minute(django_assert_num_queries, monkeypatch):
    UserSessionFactory.create_batch(3)
    with django_assert_num_queries(7):
        first = overview()
    UserSessionFactory()
    with django_assert_num_queries(0):
        assert overview() == first
    with translation.override("de"), django_assert_num_queries(7):
        overview()


def test_without_time_zones_a_day_is_a_day(settings):
    settings.USE_TZ = False
    UserSessionFactory()
    assert overview().sign_ins.numbers[-1] == 1


def test_a_cache_that_is_down_costs_only_speed(monkeypatch, caplog):
    def down(*args, **kwargs):
        raise ConnectionError("the cache is gone")

    UserSessionFactory()
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.set", down)
    assert overview().active == 1
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.get", down)
    assert overview().active == 1
    assert "the default cache failed" in caplog.text

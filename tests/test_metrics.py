"""The figures for Prometheus, as a scrape sees them."""

import json
import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

pytest.importorskip("prometheus_client", reason="needs the extra `prometheus`")

from prometheus_client import REGISTRY, generate_latest

from sessions_ext import authentication, metrics, tokens
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.reasons import RevokedReason
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.docs.pages import ROOT, rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gained():
    """By how much a figure has grown since the test began."""
    before = figures()

    def since(name: str) -> float:
        return figures()[name] - before.get(name, 0)

    return since


def figures() -> dict[str, float]:
    lines = generate_latest(REGISTRY).decode().splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith("sessions_ext_"))
    return {name: float(value) for name, _, value in found}


def test_logins_and_revokes_are_counted_by_their_reason(user, gained):
    for _ in range(3):
        UserSession.objects.start(user)
    rows = UserSession.objects.for_user(user)
    rows.oldest_first()[0].revoke("stolen laptop of Ada")
    rows.active().revoke("admin: lost at 203.0.113.9")
    assert gained("sessions_ext_started_total") == 3
    assert gained('sessions_ext_revoked_total{reason="other"}') == 1
    assert gained('sessions_ext_revoked_total{reason="admin"}') == 2


def test_the_limit_is_counted_by_its_outcome(user, gained, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    UserSession.objects.start(user)
    UserSession.objects.start(user)
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    assert gained('sessions_ext_limit_reached_total{outcome="evicted"}') == 1
    assert gained('sessions_ext_limit_reached_total{outcome="denied"}') == 1


def test_flags_are_counted(user, gained):
    UserSessionFactory(user=user).flag_suspicious("seen in two countries")
    assert gained("sessions_ext_flagged_total") == 1


def test_refreshes_are_counted_by_their_outcome(user, gained, settings):
    pair = tokens.login(RequestFactory().post("/"), user, settings.AUTHENTICATION_BACKENDS[0])
    assert tokens.refresh(pair.refresh_token)
    assert tokens.refresh(pair.refresh_token)  # within the grace
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    assert tokens.refresh(pair.refresh_token) is None
    assert tokens.refresh("no token") is None
    for outcome in metrics.LABELS[metrics.REFRESHES]:
        assert gained(f'sessions_ext_refreshes_total{{outcome="{outcome}"}}') == 1


def test_what_the_cache_answers_is_counted(user, gained, settings):
    settings.SESSIONS_EXT = {"CACHE": "default"}
    cache.clear()
    session = UserSessionFactory(user=user)
    for _ in range(3):
        backend = settings.AUTHENTICATION_BACKENDS[0]
        assert authentication.verify(user.pk, session.pk, backend, lambda known: True)
    hits, misses = (gained(f'sessions_ext_verdicts_total{{outcome="{each}"}}') for each in ("hit", "miss"))
    assert (hits + misses, hits > 0, misses > 0) == (3, True, True)


def test_a_cleanup_is_counted_and_its_time_kept(user, gained):
    UserSessionFactory.create_batch(2, user=user, expired=True)
    UserSession.objects.cleanup(max_rows=1)
    assert gained('sessions_ext_cleaned_rows_total{kind="expired"}') == 1
    began = timezone.now().timestamp()
    UserSession.objects.cleanup()
    assert gained('sessions_ext_cleaned_rows_total{kind="expired"}') == 2
    assert gained("sessions_ext_cleanup_seconds_total") > 0
    assert figures()["sessions_ext_cleanup_last_success_timestamp_seconds"] >= began


def test_a_scrape_asks_one_query_for_the_active_sessions(user, django_assert_num_queries):
    UserSessionFactory.create_batch(3, user=user)
    UserSessionFactory(user=user, revoked=True)
    with django_assert_num_queries(1):
        assert figures()["sessions_ext_active"] == 3


def test_many_are_estimated(user, monkeypatch):
    monkeypatch.setattr(metrics, "COUNTED_AT_MOST", 2)
    UserSessionFactory.create_batch(3, user=user)
    assert figures()["sessions_ext_active"] >= 3


def test_a_scrape_without_a_database_shows_the_rest(user):
    table = UserSession._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
        try:
            found = figures()
        finally:
            cursor.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert "sessions_ext_active" not in found
    assert "sessions_ext_started_total" in found


def test_labels_stay_few_whatever_happens(gained):
    """No user, no address, no free text: what is there at first is there after any event."""
    names = set(figures())
    for number in range(20):
        user = UserFactory()
        session = UserSession.objects.start(
            user, ip_address=f"203.0.113.{number}", user_agent=f"App/{number}"
        )
        session.flag_suspicious(f"kind {number}")
        session.revoke(f"reason {number}")
        UserSessionFactory(user=user).revoke(RevokedReason.values[number % len(RevokedReason.values)])
    assert set(figures()) == names
    labels = {label for name in names for label in re.findall(r"(\w+)=\"", name)}
    assert labels == {"reason", "outcome", "kind"}
    assert len(names) < 60


def test_the_documentation_and_the_dashboard_name_what_there_is():
    names = {name.partition("{")[0] for name in figures()}
    names = {name for name in names if not name.endswith("_created")}
    page = (ROOT / "docs/metrics.md").read_text()
    assert {row[0].strip("`") for row in rows(page) if row[0].startswith("`")} == names
    panels = json.loads((ROOT / "docs/grafana.json").read_text())["panels"]
    asked = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert set(re.findall(r"sessions_ext_\w+", asked)) == names

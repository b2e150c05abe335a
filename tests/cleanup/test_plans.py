"""The rows go along an index."""

import re
from contextlib import contextmanager

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.cleanup.rows import DAY, RETENTION, TICK, make, revoked
from tests.copies import build_many

pytestmark = pytest.mark.django_db


def analyze(table="sessions_ext_usersession"):
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {table}")


@contextmanager
def plans(table="sessions_ext_usersession"):
    """Collects the statements that run, and how the server went about each."""
    found = []

    def receive(message):
        text = re.search(r"Query Text: (.*?)\n(\w.*cost=.*)", message.message_primary, re.DOTALL)
        if text and table in text[1]:
            found.append(text.groups())

    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        cursor.execute("SET auto_explain.log_min_duration = 0")
        cursor.execute("SET auto_explain.log_level = 'notice'")
    connection.connection.add_notice_handler(receive)
    try:
        yield found
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.parametrize("statistics", ["new", "of an empty table", "of revoked rows alone"])
def test_each_statement_finds_its_place_on_the_index_and_sorts_nothing(statistics):
    user = UserFactory()
    now = timezone.now()
    if statistics == "of revoked rows alone":
        # Of one user after the other, and to expire in no order, so that the other index looks cheaper.
        for each in UserFactory.create_batch(2):
            rows = build_many(1000, user=each, revoked=True, revoked_at=now - DAY)
            for number, row in enumerate(rows):
                row.expires_at = now + number * 617 % 1000 * DAY
            UserSession.objects.bulk_create(rows)
    analyze()
    make(user, [now + DAY + number * TICK for number in range(1500)])
    make(user, [now - DAY - number * TICK for number in range(1500)])
    revoked(user, [now - 2 * RETENTION - number * TICK for number in range(750)])
    revoked(user, [now - 3 * RETENTION] * 750)
    if statistics == "new":
        analyze()
    with plans() as found:
        assert UserSession.objects.cleanup(batch_size=125) == CleanupResult(1500, 1500, True)
    places = [plan for _, plan in found if plan.startswith("Limit")]
    ranges = [plan for _, plan in found if plan.startswith("Delete")]
    assert len(places) + len(ranges) == len(found)
    assert min(len(places), len(ranges)) >= 24
    for plan in places:
        assert re.search(r"Index Only Scan using sessions_ext_(expiry|revoked)", plan), plan
    for plan in ranges:
        assert re.search(r"Index Scan (on|using) sessions_ext_(expiry|revoked)", plan), plan
    for _, plan in found:
        assert "Sort" not in plan, plan
        assert "Seq Scan" not in plan, plan
    # From the second on, each begins where the one before it ended; all but the last end at a place, too.
    for ends, plans_of in ((1, places), (2, ranges)):
        conditions = [plan.partition("Index Cond")[2].count("ROW(") // 2 for plan in plans_of]
        assert conditions.count(ends) >= len(conditions) - 4
        assert set(conditions) <= {0, 1, 2}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_where_djangos_sessions_expired_at_many_moments_only_the_index_is_read_for_an_end():
    now = timezone.now()
    Session.objects.bulk_create(
        Session(session_key=str(number), expire_date=now - DAY - number * TICK) for number in range(3000)
    )
    analyze("django_session")
    with plans("django_session") as found:
        assert UserSession.objects.cleanup(batch_size=500).payloads == 3000
    places = [plan for _, plan in found if plan.startswith("Limit")]
    assert len(places) == 7
    for plan in places:
        assert "Index Only Scan using django_session_expire_date" in plan, plan
        assert "Sort" not in plan, plan


@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_each_statement_finds_its_place_on_the_index_of_sqlite(user):
    now = timezone.now()
    make(user, [now - DAY - number * TICK for number in range(100)])
    revoked(user, [now - 2 * RETENTION] * 100)
    with CaptureQueriesContext(connection) as queries:
        assert UserSession.objects.cleanup(batch_size=10) == CleanupResult(100, 100, True)
    details = []
    with connection.cursor() as cursor:
        for query in queries:
            if "sessions_ext_usersession" in query["sql"]:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                details.append(" ".join(row[-1] for row in cursor.fetchall()))
    assert len(details) > 40
    for detail in details:
        assert re.search(r"SEARCH .* USING (COVERING )?INDEX sessions_ext_(expiry|revoked) ", detail), detail
        assert "TEMP B-TREE" not in detail, detail
    begun = [detail for detail in details if re.search(r"\((expires_at|revoked_at),id\)>\(\?,\?\)", detail)]
    assert len(begun) >= len(details) - 4


@pytest.mark.skipif("connection.vendor != 'mysql'")
def test_each_statement_finds_its_place_on_the_index_of_mariadb(user):
    now = timezone.now()
    make(user, [now + DAY] * 100)
    make(user, [now - DAY - number * TICK for number in range(100)])
    revoked(user, [now - 2 * RETENTION] * 100)
    with CaptureQueriesContext(connection) as queries:
        assert UserSession.objects.cleanup(batch_size=10) == CleanupResult(100, 100, True)
    plans_of = {"SELECT": [], "DELETE": []}
    with connection.cursor() as cursor:
        for query in queries:
            if "sessions_ext_usersession" in query["sql"]:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans_of[query["sql"][:6]].append(" ".join(map(str, cursor.fetchall())))
    assert min(map(len, plans_of.values())) >= 20
    for plan in [*plans_of["SELECT"], *plans_of["DELETE"]]:
        assert re.search(r"'range', '[^']*', 'sessions_ext_(expiry|revoked)'", plan), plan
        assert "filesort" not in plan, plan
    assert all("Using index" in plan for plan in plans_of["SELECT"])

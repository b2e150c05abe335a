"""The rows go along an index."""

import os
import re
from contextlib import contextmanager

import pytest
from django.db import connection
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.cleanup.rows import DAY, RETENTION, TICK, make, revoked

pytestmark = pytest.mark.django_db


def analyze():
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE sessions_ext_usersession")


@pytest.fixture
def own_statistics():
    """Those that analyze() gathers, and none of a moment amid the load."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions_ext_usersession SET (autovacuum_enabled = off)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions_ext_usersession RESET (autovacuum_enabled)")


@contextmanager
def plans():
    """Collects the statements that run, those inside of a DO too, and how the server went about each."""
    found = []

    def receive(message):
        text = re.search(r"Query Text: (.*?)\n(\w.*cost=.*)", message.message_primary, re.DOTALL)
        if text and "sessions_ext_usersession" in text[1]:
            found.append(text.groups())

    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        cursor.execute("SET auto_explain.log_min_duration = 0")
        cursor.execute("SET auto_explain.log_nested_statements = on")
        cursor.execute("SET auto_explain.log_level = 'notice'")
    connection.connection.add_notice_handler(receive)
    try:
        yield found
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("own_statistics")
@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.skipif("FOREIGN_KEYS" in os.environ, reason="which load the rows of a batch")
@pytest.mark.parametrize("statistics", ["new", "of an empty table", "of revoked rows alone"])
@pytest.mark.parametrize("sleep", [0, 0.001], ids=["many batches a call", "one by one"])
def test_each_statement_reads_an_index_in_order_and_sorts_nothing(statistics, sleep):
    user = UserFactory()
    now = timezone.now()
    if statistics == "of revoked rows alone":
        # Of one user after the other, and to expire in no order, so that the other index looks cheaper.
        for each in UserFactory.create_batch(2):
            for number in range(1000):
                revoked(each, [now - DAY], expires_at=now + number * 617 % 1000 * DAY)
    analyze()
    make(user, [now + DAY + number * TICK for number in range(3000)])
    make(user, [now - DAY - number * TICK for number in range(3000)])
    revoked(user, [now - 2 * RETENTION - number * TICK for number in range(1500)])
    revoked(user, [now - 3 * RETENTION] * 1500)
    if statistics == "new":
        analyze()
    with plans() as found:
        assert UserSession.objects.cleanup(batch_size=250, sleep=sleep) == (3000, 3000, True)
    marks = [plan for sql, plan in found if "ORDER BY" in sql]
    ranges = [plan for sql, plan in found if sql.startswith("DELETE") and " IN (" not in sql]
    ties = [plan for sql, plan in found if sql.startswith("DELETE") and " IN (" in sql]
    assert len(marks) + len(ranges) + len(ties) == len(found)
    assert min(len(marks), len(ranges)) > 15
    assert len(ties) >= 5
    for plan in marks:
        assert re.search(r"Index (Only )?Scan using sessions_ext_(expiry|revoked)", plan), plan
    for plan in ranges:
        assert re.search(r"Index Scan (on|using) sessions_ext_(expiry|revoked)", plan), plan
    for plan in ties:
        assert re.search(r"Index Scan (on|using) sessions_ext_(usersession_pkey|revoked)", plan), plan
    for _, plan in found:
        assert "Sort" not in plan, plan
        assert "Seq Scan" not in plan, plan

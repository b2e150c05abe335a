"""The benchmarks run, in a round too short to measure anything."""

import pytest
from django.conf import settings
from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.benchmarks import api, logins, operations, requests, writes
from tests.benchmarks.common import fill, print_table, take_turns

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the benchmarks are of PostgreSQL"),
    pytest.mark.skipif(
        settings.AUTH_USER_MODEL != "auth.User", reason="they fill Django's own table of users"
    ),
]


@pytest.fixture
def keys() -> operations.Keys:
    fill(60)
    return operations.Keys()


def test_sides_take_turns_at_going_first():
    order = []
    assert take_turns("ab", 3, lambda side: order.append(side) or len(order)) == {
        "a": [3, 6, 7],
        "b": [4, 5, 8],
    }
    assert "".join(order) == "baabbaab"


def test_a_table_is_markdown(capsys):
    print_table(["operation", "µs"], iter([["count", "1,024"]]))
    assert (
        capsys.readouterr().out == "| operation |    µs |\n| --------- | ----: |\n| count     | 1,024 |\n\n"
    )


def test_filled_tables_hold_ten_sessions_a_user_and_five_active(keys):
    assert UserSession.objects.count() == 60
    assert {UserSession.objects.for_user(n).count() for n in range(1, 7)} == {10}
    assert {UserSession.objects.for_user(n).active().count() for n in range(1, 7)} == {5}


@pytest.mark.parametrize("operation", operations.READS + operations.WRITES)
def test_an_operation_finds_what_it_asks_for(keys, operation):
    assert operations.measure(operations.Ours(), operation, keys.take(operation, 1)) > 0


def test_the_other_sides_do_the_same(keys):
    pytest.importorskip("sqlalchemy", reason="needs the `bench` extra")
    pytest.importorskip("asyncpg", reason="needs the `bench` extra")
    sides = [operations.SQLAlchemy(), operations.Psycopg()]
    try:
        for operation in operations.READS + operations.WRITES:
            for side in sides:
                (_, result), *_ = side.times(operation, keys.take(operation, 1))
                expected = {"count": 5, "revoke all": 4, "touch": 1}.get(operation)
                assert result == expected if expected else result
                assert operation != "list" or len(result) == 5
    finally:
        for side in sides:
            side.close()


def test_touches_are_heap_only():
    share, density, _ = writes.heap_only(True, 100)
    assert 0 <= share <= 1 <= density


def test_logins_are_counted(monkeypatch):
    monkeypatch.setattr(logins, "LOGINS", logins.THREADS)
    rate, active, failed = logins.measure(logins.ours, UserFactory.create_batch(1))
    assert rate > 0
    assert (active, failed) == (logins.THREADS, 0)


def test_a_request_is_measured_and_its_queries_are_counted():
    with requests.started(["ours db"]) as sides:
        assert min(sides["ours db"].ask("measure", 2)) > 0
        queries, _, written = sides["ours db"].ask("count", 3)
    assert queries == 3 + 1
    assert written == 1


@pytest.mark.urls("tests.benchmarks.site")
def test_each_side_of_the_api_lists_the_same_sessions(client):
    lists = []
    for mount, (name, value) in api.credentials().items():
        response = client.get(f"/{mount}/sessions", headers={name: value})
        lists.append([session["id"] for session in response.json()["items"]])
        assert client.get(f"/{mount}/sessions").status_code == 401
    assert len(lists[0]) == api.SESSIONS
    assert lists.count(lists[0]) == 3

"""PgBouncer before the server. It gives each transaction one of a few connections, so that what a transaction
leaves behind on its connection meets somebody else."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest

from tests.patience import SECONDS
from tests.scaling.conftest import environment, running_site
from tests.scaling.people import Crowd, Visitor
from tests.scaling.servers import PgBouncer
from tests.scaling.site import LIMIT

pytestmark = pytest.mark.slow

DEAD, LOCKED = 800, 10
MAKE_DEAD = f"""
    INSERT INTO sessions_ext_usersession
    SELECT (jsonb_populate_record(row, jsonb_build_object(
        'id', gen_random_uuid(), 'expires_at', now() - interval '1 day'))).*
    FROM sessions_ext_usersession row, generate_series(1, {DEAD}) WHERE id = %s
"""
COUNT_DEAD = "SELECT count(*) FROM sessions_ext_usersession WHERE expires_at < now()"
LOCK = f"SELECT 1 FROM sessions_ext_usersession WHERE expires_at < now() LIMIT {LOCKED} FOR UPDATE"
SET_FOR_GOOD = "SELECT pg_backend_pid(), array_agg(name) FROM pg_settings WHERE source = 'session'"
# PgBouncer sets these anew for whoever gets the connection.
FOLLOW_THE_CLIENT = {
    "application_name",
    "client_encoding",
    "DateStyle",
    "standard_conforming_strings",
    "TimeZone",
}


@pytest.fixture
def pooler(postgresql):
    with closing(PgBouncer(postgresql, connections=4)) as pooler:
        yield pooler


@pytest.fixture
def crowd(pooler, names, tmp_path):
    with running_site(tmp_path, pooler.url) as address:
        yield Crowd(address, names(4))


@contextmanager
def cleaning_up(pooler):
    command = [sys.executable, "-m", "django", "cleanup_sessions", "--json", "--batch-size", "50"]
    environ = environment(pooler.url)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def settings_left_behind(pooler):
    """Those that somebody has set for good on a connection to the server, by the connection."""
    found = {}
    with ExitStack() as stack:
        for _ in range(pooler.connections):
            # Its transaction stays open, so that the next one gets another connection.
            client = stack.enter_context(psycopg.connect(pooler.url))
            pid, names = client.execute(SET_FOR_GOOD).fetchone()
            found[pid] = set(names or ()) - FOLLOW_THE_CLIENT
    return found


def test_nobody_is_revived_and_nobody_lost_beside_cleanups(postgresql, pooler, crowd):
    first = Visitor(crowd, crowd.names[0])
    postgresql.execute(MAKE_DEAD, first.id)
    first.sign_out()
    with ExitStack() as stack:
        other = stack.enter_context(psycopg.connect(postgresql.url))
        other.execute(LOCK)  # for which the cleanups give way
        cleanups = [stack.enter_context(cleaning_up(pooler)) for _ in range(2)]
        stack.enter_context(crowd.at_work())
        postgresql.wait_until(lambda: postgresql.execute(COUNT_DEAD) == [(LOCKED,)])
        other.rollback()
        results = [json.loads(cleanup.communicate(timeout=SECONDS)[0]) for cleanup in cleanups]
        crowd.come_round()
    crowd.settle(postgresql)
    print(f"PgBouncer: {crowd.told()}; {results}")
    assert crowd.failures == []
    assert sum(result["expired"] for result in results) == DEAD
    left = settings_left_behind(pooler)
    assert list(left.values()) == [set()] * pooler.connections


def test_of_many_sign_ins_at_once_as_many_stay_as_the_limit_allows(crowd, names):
    (name,) = names(1, "limited")
    with ThreadPoolExecutor(16) as threads:
        visitors = list(threads.map(lambda _: Visitor(crowd, name), range(16)))
    assert sum(visitor.who() == name for visitor in visitors) == LIMIT

"""What a thousand requests of one client within a minute ask of the database and write to it, and
which share of the touches PostgreSQL makes in place (heap-only: no index is written).

    python -m tests.benchmarks.writes [--requests N] [--touches N]

Transactions and rows written are PostgreSQL's own statistics (pg_stat_database, where a few may be
autovacuum's, and pg_stat_user_tables); queries are those that Django sends, without BEGIN and
COMMIT. The last touch of the client was two minutes ago.

Touches fall on sessions at random, with the table as the migration makes it: on a full table,
whose rows were loaded at once and leave no room on a page, and on one that grows by a login for
every ten touches.
"""

import argparse
import random
from datetime import timedelta

from tests.benchmarks.common import IP_ADDRESS, fill, own_database, print_table, vacuum

SIDES = ["stock db", "qsessions", "user-sessions", "allauth", "allauth, tracking", "knox, token", "ours db"]
SIDES += ["ours signed_cookies", "ours cached_db, verdict in locmem", "ours bearer, plain view"]


def count(site, number):
    """[queries, transactions, rows written] of so many requests to a site of this process."""
    from django.apps import apps
    from django.db import connection
    from django.utils import timezone

    if apps.is_installed("sessions_ext"):
        from sessions_ext import verdict_cache
        from sessions_ext.models import UserSession

        verdict_cache.invalidate([site.user.pk], connection.alias)
        UserSession.objects.update(last_activity_at=timezone.now() - timedelta(minutes=2))
    queries = 0

    def count_query(execute, *args):
        nonlocal queries
        queries += 1
        return execute(*args)

    def so_far():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(
                "SELECT xact_commit + xact_rollback,"
                " (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables)"
                " FROM pg_stat_database WHERE datname = current_database()"
            )
            return cursor.fetchone()

    def done(number):
        before = so_far()
        with connection.execute_wrapper(count_query):
            for _ in range(number):
                site.get(site.environ)
        return [now - then for now, then in zip(so_far(), before, strict=True)]

    by_reading = done(0)
    counted = [some - reading for some, reading in zip(done(number), by_reading, strict=True)]
    return [queries, *counted]


def compare(names, number):
    from tests.benchmarks.requests import started

    with started(names) as sides:
        for name, side in sides.items():
            yield [name, *(f"{count:,}" for count in side.ask("count", number))]


def heap_only(is_full, touches):
    """The share of heap-only updates among so many touches, the rows that a page holds, and the
    table's storage options."""
    from django.db import connection
    from django.test import override_settings

    from sessions_ext.models import UserSession

    table = UserSession._meta.db_table
    fill(touches // 2 if is_full else 100)
    vacuum()
    sessions = list(UserSession.objects.active())
    rng = random.Random(7)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_reset()")
        with override_settings(SESSIONS_EXT={"TOUCH_INTERVAL": 0}):
            for number in range(touches):
                if not is_full and number % 10 == 0:
                    user = rng.choice(sessions).user
                    sessions.append(UserSession.objects.start(user, ip_address=IP_ADDRESS))
                session = rng.choice(sessions)
                UserSession.objects.for_user(session.user_id).filter(pk=session.pk).touch(IP_ADDRESS)
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size(relid) / 8192, coalesce(reloptions, '{}')"
            " FROM pg_stat_user_tables JOIN pg_class ON oid = relid WHERE pg_class.relname = %s",
            [table],
        )
        updated, in_place, pages, options = cursor.fetchone()
    if updated != touches:
        raise SystemExit(f"{touches} touches updated {updated} rows")
    return in_place / updated, UserSession.objects.count() / pages, options or ["fillfactor=100"]


def heap_only_rows(touches):
    for name, is_full in (("a full table", True), ("a table that grows", False)):
        share, density, options = heap_only(is_full, touches)
        yield [f"touches on {name}, {options[0]}", f"{share:.1%}", f"{density:.0f}"]


def head(number):
    return [f"{number:,} requests in a minute", "queries", "transactions", "rows written"]


HEAD_IN_PLACE = ["in place", "heap-only", "rows a page"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--touches", type=int, default=20_000)
    options = parser.parse_args()
    with own_database() as versions:
        print(f"{versions}\n")
        print_table(head(options.requests), compare(SIDES, options.requests))
        print_table(HEAD_IN_PLACE, heap_only_rows(options.touches))


if __name__ == "__main__":
    main()

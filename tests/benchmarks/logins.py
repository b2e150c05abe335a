"""Logins per second at a limit of 5: ours against count-then-evict without a lock.

    python -m tests.benchmarks.logins [--rounds N] [--fsync]

Starts its own PostgreSQL and deletes it (or takes DATABASE_URL, and there a database of its own).
That server runs without fsync, as in the tests, so that the figures are of the code and not of the
disk. With --fsync it is set as in production: then each commit waits for the disk.

The other sides are what a project writes by hand, without a transaction or a lock: count the active
rows, revoke the oldest beyond the limit, insert. count_then_evict loads those rows and saves each;
count_then_update has one UPDATE for them (in a race, deadlocks are its failures). All write the same columns
and describe the client in the same way. Each round runs every side, taking turns at going first, on
an empty table.
"""

import argparse
import threading
import time
from datetime import timedelta
from statistics import median

from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from tests.benchmarks.common import IP_ADDRESS, USER_AGENT, own_database, print_table, ratio, take_turns

THREADS, LOGINS, LIMIT = 16, 640, 5


def ours(user):
    from sessions_ext.models import UserSession

    UserSession.objects.start(user, ip_address=IP_ADDRESS, user_agent=USER_AGENT)


def count_then_evict(user):
    active, surplus = count(user)
    if surplus > 0:
        for session in active.order_by("created_at", "id")[:surplus]:
            session.is_revoked, session.revoked_at, session.revoked_reason = True, timezone.now(), "limit"
            session.save(update_fields=["is_revoked", "revoked_at", "revoked_reason"])
    insert(user)


def count_then_update(user):
    active, surplus = count(user)
    if surplus > 0:
        oldest = active.order_by("created_at", "id").values("pk")[:surplus]
        active.filter(pk__in=oldest).update(
            is_revoked=True, revoked_at=timezone.now(), revoked_reason="limit"
        )
    insert(user)


def count(user):
    from sessions_ext.models import UserSession

    active = UserSession.objects.filter(user_id=user.pk, is_revoked=False, expires_at__gt=timezone.now())
    return active, active.count() - LIMIT + 1


def insert(user):
    from sessions_ext import clients
    from sessions_ext.models import UserSession

    client, now = clients.describe(None, IP_ADDRESS, USER_AGENT), timezone.now()
    UserSession.objects.create(
        user_id=user.pk,
        device_info=client.device_info,
        user_agent=client.user_agent,
        ip_address=client.ip_address,
        last_ip_address=client.ip_address,
        location=client.location,
        created_at=now,
        last_activity_at=now,
        expires_at=now + timedelta(days=30),
    )


SIDES = [count_then_evict, count_then_update, ours]


def measure(log_in, users):
    """Logins per second, the active rows they leave, and how many failed; each thread has one user."""
    from sessions_ext.models import UserSession

    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {UserSession._meta.db_table}")
        cursor.execute(f"VACUUM ANALYZE {UserSession._meta.db_table}")
    errors, ends = [], []
    barrier = threading.Barrier(THREADS + 1, timeout=60)

    def run(user):
        try:
            connection.ensure_connection()
            barrier.wait()
            for _ in range(LOGINS // THREADS):
                try:
                    log_in(user)
                except DatabaseError as error:
                    errors.append(error)
            ends.append(time.perf_counter())
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=[users[number % len(users)]], daemon=True)
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join(300)
    if len(ends) < THREADS:
        raise SystemExit(f"{log_in.__name__} was not done within 300 s")
    return LOGINS / (max(ends) - start), UserSession.objects.active().count(), len(errors)


def compare(users, rounds):
    """One row a side: medians, and the median of each round's ratio."""
    results = take_turns(SIDES, rounds, lambda side: measure(side, users))
    baseline = [rate for rate, *_ in results[count_then_evict]]
    for side, measured in results.items():
        rates, left, failed = zip(*measured, strict=True)
        yield [
            f"{len(users)} users, {side.__name__}" if len(users) > 1 else f"1 user, {side.__name__}",
            f"{median(rates):.0f}",
            f"{ratio(rates, baseline):.2f}",
            spread(left),
            spread(failed),
        ]


def spread(counts):
    return "-".join(str(count) for count in sorted({min(counts), max(counts)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--fsync", action="store_true", help="make each commit wait for the disk")
    options = parser.parse_args()
    with own_database(options.fsync) as versions:
        from sessions_ext.testing import UserFactory

        settings.SESSIONS_EXT = {"MAX_SESSIONS": LIMIT}
        print(versions)
        print(f"{LOGINS} logins in {THREADS} threads, limit {LIMIT}; medians of {options.rounds} rounds\n")
        rows = [
            row
            for users in (UserFactory.create_batch(1), UserFactory.create_batch(THREADS))
            for row in compare(users, options.rounds)
        ]
        print_table(["", "logins/s", "ratio", "left active", "failed"], rows)


if __name__ == "__main__":
    main()

"""Cleanup against one plain DELETE, while others log in and touch rows.

    python -m tests.benchmarks.cleanup [--rows N ...] [--rounds N] [--per-second N]
                                        [--revoked SHARE] [--payloads] [--fsync]

Starts its own PostgreSQL and deletes it (or takes DATABASE_URL, and there a database of its own), which
writes without fsync and full_page_writes; with --fsync it writes as in production. With
DJANGO_SETTINGS_MODULE=tests.settings_mariadb it is a MariaDB.

For each size the table is filled anew for each side, half of it dead: expired, or that share of them
revoked long ago, on the same pages as the expired. A child process cleans, in rounds that alternate between
the sides; its peak memory is its own ru_maxrss. Meanwhile one thread touches dead and live rows by turns (a
bare UPDATE by id, so that it does meet the locks) and one logs people in with UserSession.objects.start,
each 100 times a second or as told, and less where it must wait. On two cores 1,000 a second measure who
gets the processors, which a plain DELETE leaves to itself by keeping the others waiting; with 0 nobody else
is there. What they wait while nobody cleans is the last line of a size: that is the machine. Python
collects no garbage in these threads: it took 13 ms at a time, and passed for a wait.

With --payloads the table is Django's own, the other side is its command clearsessions, and the threads
save sessions and make new ones.
"""

import argparse
import gc
import json
import os
import platform
import random
import resource
import subprocess
import sys
import threading
import time
from datetime import timedelta
from statistics import median

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone
from django.utils.crypto import get_random_string

from tests.benchmarks.common import survive_crashes

SIZES = [100_000, 1_000_000]
BATCH = 250_000  # rows an INSERT, so that filling ten millions needs little memory
INSERT = """
INSERT INTO sessions_ext_usersession (
    id, user_id, device_info, user_agent, ip_address, location, created_at, last_activity_at,
    authenticated_at, expires_at, is_revoked, revoked_at, revoked_reason, is_trusted, last_ip_address,
    suspicious_activity_count, last_provider_accessed, providers_accessed
)
"""
FILL = f"""
{INSERT}
SELECT
    (lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15)
    )::uuid,
    %(user)s, 'Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    '192.0.2.1', '', ended - interval '30 days', ended - interval '1 day',
    ended - interval '30 days',
    CASE WHEN how = 'live' THEN now() + interval '1 day' + n * interval '1 ms' ELSE ended END,
    how = 'revoked', CASE WHEN how = 'revoked' THEN ended END,
    CASE WHEN how = 'revoked' THEN 'user' ELSE '' END,
    false, '192.0.2.1', 0, '', '[]'
FROM (
    SELECT n, how,
        now() - interval '31 days' - (%(rows)s - n) * interval '1 s' * (2000000.0 / %(rows)s) AS ended
    FROM (
        SELECT n, CASE WHEN n %% 2 = 0 THEN 'live' WHEN n / 2 %% 100 < %(revoked)s THEN 'revoked'
                  ELSE 'expired' END AS how
        FROM generate_series(%(first)s, %(last)s) AS n
    ) AS numbers
) AS rows
"""
FILL_MARIADB = f"""
{INSERT}
SELECT
    concat(lpad(hex(n), 12, '0'), '7', substr(md5(n), 1, 3), '8', substr(md5(n), 4, 15)),
    %(user)s, 'Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    '192.0.2.1', '', ended - interval 30 day, ended - interval 1 day, ended - interval 30 day,
    if(how = 'live', now() + interval 1 day + interval n * 1000 microsecond, ended),
    how = 'revoked', if(how = 'revoked', ended, NULL), if(how = 'revoked', 'user', ''),
    false, '192.0.2.1', 0, '', '[]'
FROM (
    SELECT n, how,
        now(6) - interval 31 day - interval (%(rows)s - n) * 2000000000000 / %(rows)s microsecond AS ended
    FROM (
        SELECT seq AS n, CASE WHEN seq %% 2 = 0 THEN 'live' WHEN seq DIV 2 %% 100 < %(revoked)s THEN 'revoked'
                  ELSE 'expired' END AS how
        FROM seq_%(first)s_to_%(last)s
    ) AS numbers
) AS numbered
"""
DEAD = "(NOT is_revoked AND expires_at < now()) OR (is_revoked AND revoked_at < now() - interval '30' day)"

PAYLOAD = "INSERT INTO django_session (session_key, session_data, expire_date)"
FILL_PAYLOADS = f"""
{PAYLOAD}
SELECT md5(n::text), repeat(md5(n::text), 8), CASE WHEN n %% 2 = 0 THEN now() + n * interval '1 ms'
    ELSE now() - interval '1 day' - (%(rows)s - n) * interval '1 s' * (2000000.0 / %(rows)s) END
FROM generate_series(%(first)s, %(last)s) AS n
"""
FILL_PAYLOADS_MARIADB = f"""
{PAYLOAD}
SELECT md5(seq), repeat(md5(seq), 8), if(seq %% 2 = 0, now() + interval 1 day,
    now(6) - interval 1 day - interval (%(rows)s - seq) * 2000000000000 / %(rows)s microsecond)
FROM seq_%(first)s_to_%(last)s
"""

TIDY = {"postgresql": ["VACUUM ANALYZE {}", "CHECKPOINT"], "mysql": ["ANALYZE TABLE {}"]}
VERSION = {
    "postgresql": "'PostgreSQL', current_setting('server_version'), 'fsync ' || current_setting('fsync')",
    "mysql": "'MariaDB', version(), concat('flush at commit ', @@innodb_flush_log_at_trx_commit)",
}


def plain_delete():
    """What a project writes by hand."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM sessions_ext_usersession WHERE {DEAD}")


def clearsessions():
    call_command("clearsessions")


def cleanup():
    """Of the one table that has rows."""
    from sessions_ext.models import UserSession

    UserSession.objects.cleanup(payloads=True)


def nothing():
    time.sleep(3)


SIDES = {side.__name__: side for side in (plain_delete, clearsessions, cleanup, nothing)}


def child(side):
    """Clean once the parent says so, and report."""
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    SIDES[side]()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak": peak / 1024}), flush=True)


class Sessions:
    """The app's table: who writes to it meanwhile, and what cleans it by hand."""

    by_hand, fill = staticmethod(plain_delete), {"postgresql": FILL, "mysql": FILL_MARIADB}

    def __init__(self, user):
        from sessions_ext.models import UserSession

        self.model, self.user = UserSession, user
        self.dead = UserSession.objects.expired() | UserSession.objects.revoked()

    def touch(self, key):
        self.model._base_manager.filter(pk=key).update(last_activity_at=timezone.now())

    def log_in(self):
        self.model.objects.start(self.user)


class Payloads:
    """Django's own session table."""

    by_hand, fill = staticmethod(clearsessions), {"postgresql": FILL_PAYLOADS, "mysql": FILL_PAYLOADS_MARIADB}

    def __init__(self, user):
        from django.contrib.sessions.models import Session

        self.model, self.user = Session, user
        self.dead = Session.objects.filter(expire_date__lt=timezone.now())

    def touch(self, key):
        self.model.objects.filter(pk=key).update(session_data="changed " * 32)

    def log_in(self):
        end = timezone.now() + timedelta(days=14)
        self.model.objects.create(
            session_key=get_random_string(32), session_data="new " * 64, expire_date=end
        )


def fill(table, rows, revoked):
    """An empty table, then `rows` rows; returns keys of dead and of live ones to touch."""
    name = table.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {name}")
        for first in range(1, rows + 1, BATCH):
            last = min(rows, first + BATCH - 1)
            values = {"user": table.user.pk, "rows": rows, "revoked": 100 * revoked}
            cursor.execute(table.fill[connection.vendor], values | {"first": first, "last": last})
        for statement in TIDY[connection.vendor]:
            cursor.execute(statement.format(name))
    keys = list(table.model.objects.order_by("?").values_list("pk", flat=True)[:20_000])
    random.shuffle(keys)
    return keys


def waits_of(act, per_second, stop, waits):
    sys.setswitchinterval(0.0002)  # or the two threads wait for each other
    try:
        connection.ensure_connection()
        due = time.perf_counter()
        while not stop.is_set():
            start = time.perf_counter()
            act()
            waits.append(1000 * (time.perf_counter() - start))
            due += 1 / per_second
            time.sleep(max(due - time.perf_counter(), 0))
            due = max(due, time.perf_counter() - 1 / per_second)  # turns that it missed are not made up for
    finally:
        connections.close_all()


def measure(side, table, rows, revoked, per_second):
    keys = iter(fill(table, rows, revoked) * 100)
    gc.collect()
    gc.disable()

    def touch():
        table.touch(next(keys))

    command = [sys.executable, "-m", "tests.benchmarks.cleanup", "--child", side.__name__]
    environment = os.environ | {"BENCHMARK_DATABASE": connection.settings_dict["NAME"]}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    stop, touches, logins = threading.Event(), [], []
    threads = [
        threading.Thread(target=waits_of, args=[act, per_second, stop, waits], daemon=True)
        for act, waits in ((touch, touches), (table.log_in, logins))
        if per_second
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    touches.clear()
    logins.clear()
    print("go", file=process.stdin, flush=True)
    result = json.loads(process.stdout.readline())
    stop.set()
    for thread in threads:
        thread.join(60)
    process.communicate()
    assert side is nothing or not table.dead.exists()
    return result | {
        "touches": touches,
        "logins": logins,
        "rate": side is not nothing and rows / 2 / result["seconds"],
    }


def compare(table, rows, rounds, revoked, per_second):
    by_hand = table.by_hand
    results = {by_hand: [], cleanup: []}
    for number in range(rounds):
        for side in [by_hand, cleanup] if number % 2 else [cleanup, by_hand]:
            results[side].append(measure(side, table, rows, revoked, per_second))
    if per_second:
        results[nothing] = [measure(nothing, table, rows, revoked, per_second)]
    rates = {side: [result["rate"] for result in measured] for side, measured in results.items()}
    for side, measured in results.items():
        ratios = [rate / plain for rate, plain in zip(rates[side], rates[by_hand], strict=False)]
        touches = sorted(wait for result in measured for wait in result["touches"])
        logins = sorted(wait for result in measured for wait in result["logins"])
        print(
            f"{rows:>10,}  {side.__name__:<13} {median(rates[side]):>10,.0f} {median(ratios):>6.2f} "
            f"{spread(touches)}  {spread(logins)} {max(result['peak'] for result in measured):>8.1f}",
            flush=True,
        )


def spread(waits):
    count = len(waits)
    if not count:
        return f"{'':>24}"
    return f"{count:>8,} {waits[int(count * 0.999)]:>7.1f} {waits[-1]:>7.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rows", type=int, nargs="+", default=SIZES, help="10000000 takes a quarter of an hour"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--revoked", type=float, default=0, help="share of the dead rows, 0 to 1")
    parser.add_argument("--per-second", type=int, default=100, help="touches, and as many logins")
    parser.add_argument("--payloads", action="store_true", help="Django's own session table")
    parser.add_argument("--fsync", action="store_true", help="write as in production")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    own_server = "DATABASE_URL" not in os.environ
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    if options.child:
        settings.DATABASES["default"]["NAME"] = os.environ["BENCHMARK_DATABASE"]
        connection.settings_dict["NAME"] = os.environ["BENCHMARK_DATABASE"]
        child(options.child)
        return
    from sessions_ext.testing import UserFactory

    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        if own_server and options.fsync:
            survive_crashes()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {VERSION[connection.vendor]}")
            product, server, durability = cursor.fetchone()
        print(
            f"{timezone.now().date()}, {product} {server} ({durability}), "
            f"Python {platform.python_version()}, Django {django.__version__}, {os.cpu_count()} cores"
        )
        print(f"medians of {options.rounds} rounds; waits in ms: number, 99.9th percentile, slowest\n")
        print(
            f"{'rows':>10}  {'side':<13} {'rows/s':>10} {'ratio':>6} "
            f"{'touches':>8} {'p99.9':>7} {'max':>7}  {'logins':>8} {'p99.9':>7} {'max':>7} {'peak MB':>8}"
        )
        table = (Payloads if options.payloads else Sessions)(UserFactory())
        for rows in options.rows:
            compare(table, rows, options.rounds, options.revoked, options.per_second)
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


if __name__ == "__main__":
    main()

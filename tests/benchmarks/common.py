"""What the benchmarks share: a database of their own, rounds that take turns, tables."""

import os
import platform
import time
from contextlib import contextmanager
from statistics import median

import django

BASELINE = "stock db"
IP_ADDRESS = "192.0.2.1"
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@contextmanager
def own_database(fsync=False):
    """Set Django up and give it an empty database until the block ends; yields what the figures
    depend on, in one line. The server is DATABASE_URL's, or one of the run's own. That one runs
    without fsync, so that the figures are of the code and not of the disk, unless `fsync`."""
    is_own_server = "DATABASE_URL" not in os.environ
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")
    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        if is_own_server and fsync:
            survive_crashes()
        yield versions()
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def survive_crashes():
    """Let the tests' own server write what PostgreSQL writes unless told otherwise."""
    from django.db import connection

    with connection.cursor() as cursor:
        for name in ("fsync", "full_page_writes"):
            cursor.execute(f"ALTER SYSTEM RESET {name}")
        cursor.execute("SELECT pg_reload_conf()")
    time.sleep(1)  # it takes effect a moment later


def versions():
    from django.db import connection
    from django.utils import timezone

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        server, fsync = cursor.fetchone()
    return (
        f"{timezone.now().date()}, PostgreSQL {server} (fsync {fsync}), "
        f"Python {platform.python_version()}, Django {django.__version__}, {os.cpu_count()} cores"
    )


def take_turns(sides, rounds, measure):
    """measure(side) for each side in each round, in the opposite order every other round, after
    one round to warm up. Returns the results of each side, in the order of the rounds."""
    results = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides if number % 2 else reversed(sides):
            result = measure(side)
            if number:
                results[side].append(result)
    return results


def ratio(values, baseline):
    """The median of each round's ratio, so that a slow moment of the machine is in both."""
    return median(value / base for value, base in zip(values, baseline, strict=True))


def print_table(head, rows):
    """Markdown, with numbers to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in (head, rule, *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("| " + " | ".join([first.strip().ljust(widths[0]), *others]) + " |", flush=True)
    print(flush=True)


def fill(rows, using="default"):
    """Empty the tables and insert so many sessions, ten a user, five of them active; those who
    logged in last lie last in the table. Each was seen two minutes ago."""
    from django.contrib.auth import get_user_model
    from django.db import connections

    from sessions_ext.models import UserSession

    table, users = UserSession._meta.db_table, get_user_model()._meta.db_table
    with connections[using].cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}, {users} RESTART IDENTITY CASCADE")
        cursor.execute(
            f"""
            INSERT INTO {users} (id, username, password, first_name, last_name, email,
                                 is_superuser, is_staff, is_active, date_joined)
            SELECT n, 'user' || n, 'md5$salt$' || md5(n::text), 'Ada', 'Lovelace',
                   'user' || n || '@example.com', false, false, true, now()
            FROM generate_series(1, %s) AS n
            """,
            [max(rows // 10, 1)],
        )
        cursor.execute(
            f"""
            INSERT INTO {table} (id, user_id, device_info, user_agent, ip_address, location,
                created_at, last_activity_at, authenticated_at, expires_at, is_revoked, revoked_at,
                revoked_reason, is_trusted, refresh_token_id, last_ip_address, suspicious_activity_count,
                last_provider_accessed, providers_accessed)
            SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                    || '7000' || 'a' || substr(md5(n::text), 1, 15))::uuid,
                   1 + n %% %s, 'Firefox on Linux', %s, %s, '', at, now() - interval '2 minutes', at,
                   now() + interval '20 days', is_over, CASE WHEN is_over THEN now() END,
                   CASE WHEN is_over THEN 'logout' ELSE '' END, false, gen_random_uuid(), %s, 0, '', '[]'
            FROM (SELECT n, n <= %s / 2 AS is_over,
                         now() - interval '10 days' + n * (interval '9 days' / %s) AS at
                  FROM generate_series(1, %s) AS n) AS logins
            ORDER BY n
            """,
            [max(rows // 10, 1), USER_AGENT, IP_ADDRESS, IP_ADDRESS, rows, rows, rows],
        )


def vacuum(using="default"):
    from django.db import connections

    with connections[using].cursor() as cursor:
        cursor.execute("VACUUM (FREEZE, ANALYZE)")
        cursor.execute("CHECKPOINT")

"""The admin's list and overview at many sessions: time and statements a page.

    python -m tests.benchmarks.admin [--rows N] [--explain] [PAGE ...]

Starts its own PostgreSQL and deletes it (or takes DATABASE_URL, and there a database of its own).
The times are of the whole page, rendered by Django's test client with nothing cached: the best of 7
visits, since whatever else the machine does can only add to them. CPU is of Django alone, without
the server's."""

import argparse
import os
import platform
import time
from datetime import timedelta

import django
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

LIST = "/admin/sessions_ext/usersession/"
PAGES = {
    "list": LIST,
    "list, last page": f"{LIST}?p=200",
    "list, a day": f"{LIST}?"
    + "&".join(f"created_at__{part}={{day.{part}}}" for part in ("year", "month", "day")),
    "state=active": f"{LIST}?state=active",
    "state=expired": f"{LIST}?state=expired",
    "state=revoked": f"{LIST}?state=revoked",
    "reason=admin": f"{LIST}?reason=admin",
    "reason, no match": f"{LIST}?reason=suspicious",
    "trusted": f"{LIST}?is_trusted__exact=1",
    "device, rare": f"{LIST}?device=Lynx",
    "within 5 minutes": f"{LIST}?within=5",
    "search a name": f"{LIST}?q=person77",
    "search an id": f"{LIST}?q=00000000-0000-7000-8000-000000000000",
    "search an address": f"{LIST}?q=192.0.2.7",
    "an address, no match": f"{LIST}?q=203.0.113.7",
    "search a network": f"{LIST}?q=192.0.2.0/30",
    "a network, no match": f"{LIST}?q=203.0.113.0/24",
    "a user's": f"{LIST}?user={{user}}",
    "overview": f"{LIST}overview/",
}
LOAD = """
INSERT INTO sessions_ext_usersession (id, user_id, device_info, user_agent, ip_address, location,
    created_at, last_activity_at, authenticated_at, expires_at, is_revoked, revoked_at, revoked_reason,
    is_trusted, last_ip_address, suspicious_activity_count, last_provider_accessed, providers_accessed)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
    users[1 + n %% array_length(users, 1)], 'Firefox on Linux ' || n %% 40,
    'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    ('192.0.2.' || n %% 250)::inet, 'Berlin, DE', at, at + interval '1 hour', at,
    at + interval '30 days',
    n %% 3 = 0, CASE WHEN n %% 3 = 0 THEN at + interval '2 hours' END,
    CASE WHEN n %% 3 = 0 THEN (ARRAY['logout', 'user', 'limit', 'admin'])[1 + n / 3 %% 4] ELSE '' END,
    n %% 10 = 0, ('192.0.2.' || n %% 250)::inet, CASE WHEN n %% 1000 = 0 THEN 1 ELSE 0 END, '', '[]'
FROM generate_series(1, %(rows)s) n,
    LATERAL (SELECT %(now)s::timestamptz - (%(rows)s - n) * interval '60 days' / %(rows)s AS at) moment,
    (SELECT array_agg(id) AS users FROM auth_user WHERE username LIKE 'person%%') people
"""


def load(rows, people):
    """`rows` sessions of `people` users, spread over the past sixty days."""
    from django.contrib.auth.models import User

    User.objects.bulk_create(User(username=f"person{number}") for number in range(people))
    with connection.cursor() as cursor:
        cursor.execute(LOAD, {"rows": rows, "now": timezone.now()})
        cursor.execute("ANALYZE sessions_ext_usersession, auth_user")


def visit(client, path):
    """Seconds, seconds of CPU and statements of one visit, with nothing cached before it."""
    from django.core.cache import cache

    cache.clear()
    with CaptureQueriesContext(connection) as statements:
        start, cpu = time.perf_counter(), time.process_time()
        response = client.get(path)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert response.status_code == 200, path
    return seconds, cpu, statements


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="one of: " + "; ".join(PAGES))
    parser.add_argument("--explain", action="store_true", help="print each statement and its time")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    from sessions_ext.testing import UserFactory, log_in

    settings.ALLOWED_HOSTS = ["testserver"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        load(options.rows, options.rows // 10)
        client = Client()
        log_in(client, UserFactory(username="root", is_staff=True, is_superuser=True))
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("SELECT current_setting('server_version')")
            (server,) = cursor.fetchone()
        print(
            f"{timezone.now().date()}, PostgreSQL {server}, Python {platform.python_version()}, "
            f"Django {django.__version__}, {os.cpu_count()} cores; {options.rows} sessions\n"
        )
        print(f"{'page':<21} {'ms':>7} {'CPU ms':>7} {'SQL ms':>10} {'statements':>11}")
        names = {"day": timezone.now() - timedelta(days=20), "user": User.objects.get(username="person7").pk}
        for name, path in PAGES.items():
            if options.pages and name not in options.pages:
                continue
            visits = [visit(client, path.format(**names)) for _ in range(7)]
            sql = min(sum(float(query["time"]) for query in queries) for *_, queries in visits)
            cpu = min(seconds for _, seconds, _ in visits)
            took = min(seconds for seconds, *_ in visits)
            figures = f"{took * 1000:>7.0f} {cpu * 1000:>7.0f} {sql * 1000:>10.0f}"
            print(f"{name:<21} {figures} {len(visits[0][2]):>11}", flush=True)
            if options.explain:
                for query in visits[-1][2]:
                    print("   ", query["time"], query["sql"][:400])
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


if __name__ == "__main__":
    main()

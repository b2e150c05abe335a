"""Requests per second of GET /sessions under gunicorn: with a bearer token, beside the same list
behind ninja's own django_auth, and behind a class that checks a token's signature and no more.

    python -m tests.benchmarks.api [--rounds N] [--seconds N]

Only the first looks at the row of the login. django_auth runs on stock Django with sessions in the
database, without the app's middleware. Each side has a server of its own with 2
workers and persistent connections, and the sides take turns. The load is wrk's, or, where that
is not installed, that of a client in Python, which slows all sides down.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from tests.benchmarks.common import own_database, print_table, ratio, take_turns

WORKERS, CONNECTIONS, SESSIONS = 2, 4, 5
GUNICORN = ["-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "-w", str(WORKERS), "-b"]
SIDES = {
    "bearer token, revocation checked": ("API, ours", "ours"),
    "django_auth cookie, not checked": ("API, stock", "django_auth"),
    "signature alone, not checked": ("API, stock", "signature"),
}


def credentials():
    """A user with some sessions among those of others, and the header that each side wants."""
    import jwt
    from django.conf import settings
    from django.test import Client, RequestFactory
    from django.utils import timezone

    from sessions_ext import tokens
    from sessions_ext.testing import UserFactory, UserSessionFactory, log_in

    user = UserFactory()
    client = Client()
    log_in(client, user)
    pair = tokens.login(RequestFactory().get("/"), user)
    UserSessionFactory.create_batch(SESSIONS - 2, user=user)
    UserSessionFactory.create_batch(3 * SESSIONS, user=user, revoked=True)
    for other in UserFactory.create_batch(50):
        UserSessionFactory.create_batch(SESSIONS, user=other)
    claims = {"sub": str(user.pk), "exp": timezone.now() + timedelta(hours=1)}
    signed = jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")
    cookie = settings.SESSION_COOKIE_NAME
    return {
        "ours": ("Authorization", f"Bearer {pair.access_token}"),
        "django_auth": ("Cookie", f"{cookie}={client.cookies[cookie].value}"),
        "signature": ("Authorization", f"Bearer {signed}"),
    }


def listed(url, header):
    """The sessions that a side answers with, but for the mark of the current one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=dict([header])), timeout=20) as response:
        items = json.load(response)["items"]
    return [{name: value for name, value in item.items() if name != "is_current"} for item in items]


def by_wrk(url, header, seconds):
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-H", ": ".join(header), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    return float(re.search(r"Requests/sec: +([\d.]+)", output).group(1))


def by_threads(url, header, seconds):
    address = urlsplit(url)
    start, counts = time.perf_counter(), []

    def run():
        count = 0
        while time.perf_counter() < start + seconds:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
            connection.request("GET", address.path, headers=dict([header]))
            count += connection.getresponse().status == 200
            connection.close()
        counts.append(count)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def compare(load, rounds, seconds):
    """Requests per second of each side in each round."""
    from django.db import connection

    from tests import databases
    from tests.servers import free_port, running

    headers = credentials()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {}
        for settings_side in ("API, ours", "API, stock"):
            port = free_port()
            environment = os.environ | {
                "BENCH_SIDE": settings_side,
                "DATABASE_URL": databases.url_of(connection),
            }
            server = running([*GUNICORN, f"127.0.0.1:{port}"], port, environment, folder / settings_side)
            urls[settings_side] = stack.enter_context(server)

        def target(side):
            settings_side, mount = SIDES[side]
            return f"{urls[settings_side]}/{mount}/sessions", headers[mount]

        lists = [listed(*target(side)) for side in SIDES]
        if len(lists[0]) != SESSIONS or lists.count(lists[0]) != len(SIDES):
            raise SystemExit("the sides do not list the same sessions")
        return take_turns(list(SIDES), rounds, lambda side: load(*target(side), seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="of one side in one round")
    options = parser.parse_args()
    with own_database() as versions:
        # wrk counts in whole seconds.
        load = by_wrk if shutil.which("wrk") and options.seconds >= 1 else by_threads
        client = "wrk" if load is by_wrk else "a client in Python"
        print(f"{versions}\nGET /sessions, {SESSIONS} listed; gunicorn with {WORKERS} workers, {client} with")
        print(f"{CONNECTIONS} connections; medians of {options.rounds} rounds of {options.seconds:g} s\n")
        results = compare(load, options.rounds, options.seconds)
    first = results["bearer token, revocation checked"]
    rows = [[side, f"{median(rates):.0f}", f"{ratio(first, rates):.2f}"] for side, rates in results.items()]
    print_table(["GET /sessions", "requests/s", "bearer token's ratio to it"], rows)


if __name__ == "__main__":
    main()

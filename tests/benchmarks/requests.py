"""What a request costs whose view reads its user: ours, Django alone, and others that keep a row
for a session.

    python -m tests.benchmarks.requests [--rounds N] [--requests N] [--only TEXT ...]

Each side is a process with a database, settings and a login of its own; the view, the user and the
server are the same. A request is one call of Django's WSGI handler in that process, over a persistent
connection, without an HTTP server; where it says async, one call of the async chain of
middleware and view in a running loop. Sides take turns in each round. Peers come from the
`bench` extra, Redis from the system; what is not installed is left out. Python's share is the processor
time of that process: where other work slows the machine down, it is the steadier figure.
"""

import argparse
import asyncio
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.common import (
    BASELINE,
    IP_ADDRESS,
    USER_AGENT,
    own_database,
    print_table,
    ratio,
    take_turns,
)

ROUNDS, REQUESTS = 120, 12  # many short turns, so that each slow moment of a machine is in all sides
PEERS = {
    "qsessions": "qsessions",
    "user-sessions": "user_sessions",
    "allauth": "allauth",
    "knox": "knox",
    "simplejwt": "rest_framework_simplejwt",
    "ours bearer, DRF": "rest_framework",
}
PATHS = {
    "knox": "/drf/",
    "simplejwt": "/drf/",
    "DRF": "/drf/",
    "plain view": "/bearer/",
    "ninja": "/ninja/",
    "bearer": "/bearer/",
    "async": "/awho/",
}


def environ(path, header=None):
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": IP_ADDRESS,
        "HTTP_USER_AGENT": USER_AGENT,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        **(header or {}),
    }


class Site:
    """The site of this process, called as a server calls it, with a login."""

    def __init__(self):
        from django.contrib.auth import get_user_model
        from django.core.handlers.wsgi import WSGIHandler

        self.handler = WSGIHandler()
        self.user = get_user_model().objects.create_user("ada")
        cookies, body = self.get(environ("/login/"))
        header = {"HTTP_COOKIE": cookies} if cookies else {"HTTP_AUTHORIZATION": body}
        path = next((path for kind, path in PATHS.items() if kind in os.environ["BENCH_SIDE"]), "/who/")
        self.environ = environ(path, header)
        self.loop, self.scope = asyncio.new_event_loop(), None
        if path == "/awho/":
            self.handler.load_middleware(is_async=True)
            self.scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": b"",
                "server": ("testserver", 80),
                "client": (IP_ADDRESS, 1),
                "headers": [(b"user-agent", USER_AGENT.encode()), (b"cookie", cookies.encode())],
            }

    def get(self, environ):
        """The cookies that the answer sets, and its body."""
        answer = []
        response = self.handler(dict(environ), lambda status, headers: answer.extend([status, headers]))
        body = b"".join(response).decode()
        response.close()
        if not answer[0].startswith("200"):
            raise SystemExit(f"{os.environ['BENCH_SIDE']} answered {answer[0]}: {body}")
        cookies = [value.partition(";")[0] for name, value in answer[1] if name == "Set-Cookie"]
        return "; ".join(cookies), body

    async def aget(self):
        from django.core.handlers.asgi import ASGIRequest

        response = await self.handler.get_response_async(ASGIRequest(dict(self.scope), io.BytesIO()))
        response.close()
        return "", response.content.decode()

    def close(self):
        from asgiref.sync import sync_to_async
        from django.db import connections

        self.loop.run_until_complete(sync_to_async(connections.close_all)())
        self.loop.close()

    def check(self):
        _, body = self.loop.run_until_complete(self.aget()) if self.scope else self.get(self.environ)
        if body.strip('"') != self.user.get_username():
            raise SystemExit(f"{os.environ['BENCH_SIDE']} knows nobody: {body!r}")

    def measure(self, number):
        """[the median of so many requests, the processor time of one in this process], both in
        microseconds."""
        start = time.process_time()
        times = self.loop.run_until_complete(self.atimes(number)) if self.scope else self.times(number)
        used = time.process_time() - start
        self.check()
        return [1e6 * median(times), 1e6 * used / number]

    def times(self, number):
        times = []
        for _ in range(number):
            start = time.perf_counter()
            self.get(self.environ)
            times.append(time.perf_counter() - start)
        return times

    async def atimes(self, number):
        times = []
        for _ in range(number):
            start = time.perf_counter()
            await self.aget()
            times.append(time.perf_counter() - start)
        return times


def serve():
    """Answer the commands that come in, one a line: [name, argument]."""
    with own_database():
        from tests.benchmarks import writes

        site = Site()
        site.check()
        commands = {"measure": site.measure, "count": lambda number: writes.count(site, number)}
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            name, argument = json.loads(line)
            print(json.dumps(commands[name](argument)), flush=True)
        site.close()


class Side:
    """A site in a process of its own."""

    def __init__(self, name, environment):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.requests", "--serve"],
            env=environment | {"BENCH_SIDE": name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} failed")
        return json.loads(line)

    def ask(self, name, argument):
        self.process.stdin.write(json.dumps([name, argument]) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextmanager
def redis():
    """The URL of a Redis server of the run's own; None where there is none to start."""
    if not (shutil.which("redis-server") and importlib.util.find_spec("redis")):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sessions_ext_") as folder:
        path = Path(folder) / "socket"
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            while not path.exists() and server.poll() is None:
                time.sleep(0.05)
            yield f"unix://{path}"
        finally:
            server.terminate()
            server.wait(timeout=20)


@contextmanager
def started(names):
    """A Side for each of these that can run here, ready for commands; by name."""
    from tests import databases

    with ExitStack() as stack:
        redis_url = stack.enter_context(redis()) if any("redis" in name for name in names) else None
        environment = os.environ | {
            "BENCH_REDIS_URL": redis_url or "",
            "DATABASE_URL": databases.url(),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
        }
        sides = {}
        for name in names:
            module = next((module for peer, module in PEERS.items() if name.startswith(peer)), "django")
            if importlib.util.find_spec(module) is None or ("redis" in name and not redis_url):
                print(f"{name}: not installed, left out", file=sys.stderr)
                continue
            sides[name] = Side(name, environment)
            stack.callback(sides[name].stop)
        for side in sides.values():
            side.answer()
        yield sides


def compare(names, rounds, requests):
    """What measure() tells of each side in each round."""
    with started(names) as sides:
        return take_turns(list(sides), rounds, lambda name: sides[name].ask("measure", requests))


HEAD = ["request path", "µs", f"ratio to {BASELINE}", "Python's share, µs", "ratio"]


def rows(results):
    baseline = list(zip(*results[BASELINE], strict=True))
    for name, measured in results.items():
        both = zip(zip(*measured, strict=True), baseline, strict=True)
        cells = [[f"{median(times):,.0f}", f"{ratio(times, base):.2f}"] for times, base in both]
        yield [name, *cells[0], *cells[1]]


def chosen(parts):
    from tests.benchmarks.settings import SIDES

    names = [name for name in SIDES if not name.startswith("API")]
    return [name for name in names if name == BASELINE or not parts or any(part in name for part in parts)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of one side in one round")
    parser.add_argument("--only", nargs="*", help="sides with one of these texts in their name")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    with own_database() as versions:
        print(f"{versions}\nmedians of {options.rounds} rounds of {options.requests} requests\n")
        results = compare(chosen(options.only), options.rounds, options.requests)
    print_table(HEAD, rows(results))


if __name__ == "__main__":
    main()

"""Servers in processes of their own, and browsers for them without JavaScript."""

import http.cookiejar
import random
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.patience import SECONDS
from tests.programs import needs


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str], log_path: Path) -> Iterator[str]:
    """Run `python COMMAND` until the block ends, and yield its address once it answers."""
    with open(log_path, "w+") as log:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
        try:
            wait_for(port, process, log_path)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)


def free_port() -> int:
    """A port that nobody listens at, and that no client gets before the server is up: those have higher ones.
    Random by the system's numbers, since the suite's own are the same in each of its processes. Nobody
    listens yet when it is chosen, so each process has a thousand of its own."""
    first = own_thousand()
    while True:
        port = random.SystemRandom().randrange(first + 1, first + 1000)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


@cache
def own_thousand() -> int:
    """The first of a thousand ports that no other process of a suite has, as long as there are enough: this
    one keeps it until it ends."""
    for first in range(10_000, 32_000, 1000):
        with suppress(OSError), socket.socket() as owner:
            owner.bind(("127.0.0.1", first))
            owner.detach()
            return first
    return random.SystemRandom().randrange(10_000, 32_000, 1000)


def wait_for(port: int, process: subprocess.Popen[bytes], log_path: Path) -> None:
    """Return once somebody listens at the port."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start: {log_path.read_text()}")


class Redis:
    """A Redis of the tests' own, that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: Any = None

    def start(self) -> None:
        command = [needs("redis-server")]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        log = self.folder / "log"
        with open(log, "a") as out:
            self.process = subprocess.Popen([*command, "--save", ""], stdout=out, stderr=out)
        try:
            wait_for(self.port, self.process, log)
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)


class Browser:
    """Visits paths of one server and keeps its cookies."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.url = server
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )

    def visit(self, path: str, **form: str) -> str:
        """The page at `path`, redirects followed; posts the form data that are given."""
        data = urllib.parse.urlencode(form, doseq=True).encode() if form else None
        with self._opener.open(self.server + path, data, timeout=SECONDS) as response:
            self.url = response.url
            return str(response.read().decode())


def log_in(browser: Browser, path: str, name: str) -> str:
    token = csrf_token(browser.visit(path))
    return browser.visit(path, username=name, password=f"{name}-demo", csrfmiddlewaretoken=token)


def csrf_token(page: str) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]

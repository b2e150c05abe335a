"""People who sign in, look and sign out at a real server all the time, and what became of their sessions."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.scaling.servers import PostgreSQL
from tests.servers import Browser, csrf_token

SECONDS = 30  # that somebody goes on trying
ROWS_OF = (
    "SELECT s.id::text FROM sessions_ext_usersession s JOIN auth_user u ON u.id = s.user_id"
    " WHERE NOT is_revoked AND username = ANY(%s)"
)
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Login:
    """Somebody who has signed in: the server has said so. The session has this `id`."""

    id: str

    def __init__(self, crowd: "Crowd", name: str) -> None:
        self.crowd, self.name = crowd, name
        self.sign_in()

    def insist(self, what: str, ask: Callable[[], Any]) -> Any:
        """The answer. Where the server fails, the person tries again a moment later."""
        end = time.monotonic() + SECONDS
        while True:
            began = time.monotonic()
            try:
                return ask()
            except urllib.error.HTTPError as error:
                error.close()
                # With 400 Django answers where its own session could not be saved.
                if (error.code < 500 and error.code != 400) or time.monotonic() > end:
                    raise
                self.crowd.failures.append((began, what))
            time.sleep(0.05)

    def expect(self, who: str) -> None:
        """Note where the server takes them for somebody else."""
        if (answer := self.who()) != who:
            wrong = self.crowd.revived if who == "nobody" else self.crowd.lost
            wrong.append(f"{type(self).__name__} {self.id}: {answer}")


class Visitor(Login):
    """By a browser."""

    def sign_in(self) -> None:
        self.browser = Browser(self.crowd.address)
        assert self.visit("/login/", username=self.name, password="password") == self.name
        self.id = self.visit("/row/")

    def visit(self, path: str, **form: str) -> str:
        return self.insist(path, lambda: self.browser.visit(path, **form))

    def who(self) -> str:
        return self.visit("/who/")

    def sign_out(self) -> None:
        assert self.visit("/logout/") == "nobody"

    def sign_out_other(self, other: Login) -> None:
        page = self.visit("/devices/")
        assert page != "nobody", f"{self.id} was lost"
        page = self.visit(f"/devices/{other.id}/sign-out/", csrfmiddlewaretoken=csrf_token(page))
        assert other.id not in page


class App(Login):
    """By tokens."""

    tokens: Any = None

    def sign_in(self) -> None:
        self.tokens = self.call("POST", "/sessions", {"username": self.name, "password": "password"})
        self.id = self.tokens["session"]["id"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What the API answers, or None if it takes them for nobody."""
        request = urllib.request.Request(f"{self.crowd.address}/api{path}", method=method)
        request.add_header("Content-Type", "application/json")
        if self.tokens:
            request.add_header("Authorization", f"Bearer {self.tokens['access_token']}")
        request.data = json.dumps(body).encode() if body else None
        return self.insist(f"{method} {path}", lambda: _answer(request))

    def refresh(self) -> bool:
        """Whether the refresh token was taken. Then they have a new one."""
        tokens = self.call("POST", "/sessions/refresh", {"refresh_token": self.tokens["refresh_token"]})
        self.tokens = tokens or self.tokens
        return tokens is not None

    def who(self) -> str:
        answer, is_refreshed = self.call("GET", "/bearer"), self.refresh()
        if (answer is None) is is_refreshed:
            return f"{answer}, refreshed: {is_refreshed}"
        return answer["user"] if answer else "nobody"

    def sign_out(self) -> None:
        self.call("DELETE", "/sessions/current")

    def sign_out_other(self, other: Login) -> None:
        self.call("DELETE", f"/sessions/{other.id}")


def _answer(request: urllib.request.Request) -> Any:
    try:
        with _open(request, timeout=SECONDS) as response:
            return json.loads(response.read() or "true")
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        error.close()
        return None


class Crowd:
    """`failures` are the requests that failed, each with the time when it began; `revived` and `lost` say who
    was signed in after a sign-out had been answered, and who was not after a sign-in had been."""

    def __init__(self, address: str, names: list[str]) -> None:
        self.address, self.names = address, names
        self.rounds = dict.fromkeys(names, 0)
        self.signed_in: list[Login] = []
        self.signed_out: list[Login] = []
        self.failures: list[tuple[float, str]] = []
        self.revived: list[str] = []
        self.lost: list[str] = []
        self.errors: list[Exception] = []
        self._is_over = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._live, args=[name], daemon=True) for name in self.names]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(2 * SECONDS)
        assert not any(thread.is_alive() for thread in threads)
        if self.errors:
            raise ExceptionGroup("in the threads", self.errors)

    def come_round(self, times: int = 1) -> None:
        """Return when each of them has done this many rounds more."""
        goal = {name: done + times for name, done in self.rounds.items()}
        end = time.monotonic() + SECONDS
        while not self.errors and any(self.rounds[name] < goal[name] for name in goal):
            assert time.monotonic() < end, f"the server does not recover: {self.failures[-5:]}"
            time.sleep(0.01)

    def settle(self, server: PostgreSQL) -> None:
        """Nobody was revived and nobody lost: not before, not now, and not in the table."""
        for each in self.signed_out:
            each.expect("nobody")
        for each in self.signed_in:
            each.expect(each.name)
        assert (self.revived, self.lost) == ([], [])
        active = {pk for (pk,) in server.execute(ROWS_OF, self.names)}
        assert not active & {each.id for each in self.signed_out}
        assert active >= {each.id for each in self.signed_in}
        # A sign-in whose answer failed may have left a row that nobody holds.
        failed = sum(what in ("/login/", "POST /sessions") for _, what in self.failures)
        assert len(active) - len(self.signed_in) <= failed

    def told(self) -> str:
        counts = {name: len(found) for name, found in vars(self).items() if isinstance(found, list)}
        return ", ".join(f"{count} {name}" for name, count in counts.items())

    def _live(self, name: str) -> None:
        try:
            while not self._is_over.is_set():
                one, other = (random.choice([Visitor, App])(self, name) for _ in range(2))
                for each in (one, other):
                    each.expect(name)
                one.sign_out() if random.random() < 0.5 else other.sign_out_other(one)
                self.signed_out.append(one)
                self.signed_in.append(other)
                one.expect("nobody")
                other.expect(name)
                self.rounds[name] += 1
        except Exception as error:
            self.errors.append(error)

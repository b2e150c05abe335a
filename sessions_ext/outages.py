"""A CACHE that does not answer. It is left alone for a moment, so that requests do not each wait for its
timeout; and what it must be told is sent until it is told."""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.core.cache import BaseCache, caches

logger = logging.getLogger("sessions_ext")

T = TypeVar("T")

NEVER = float("-inf")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds in which it is left alone, doubled at each failure
RETRY = 0.2  # seconds before it is told something again
CHUNK = 1000  # keys in one message


class Watched:
    """A cache, and what this process knows of its latest outage. `back_at` is the time when it was seen to
    answer again, infinity during an outage. What was cached before may be older than a change that the
    cache was not told of."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.back_at = NEVER
        self._lock = threading.Lock()
        self._pause = 0.0  # 0 while it answers
        self._failed_at = self._until = NEVER  # by time.monotonic()
        self._untold: dict[str, float] = {}  # keys, and when telling them is of no use any more
        self._teller: threading.Thread | None = None

    def ask(self, what: Callable[[BaseCache], T]) -> T | None:
        """What the cache answers; None where it fails or is left alone. After each pause, one caller tries
        it for all."""
        with self._lock:
            now = time.monotonic()
            if now < self._until:
                return None
            self._until = now + self._pause
        return self._run(what)

    def tell(self, keys: list[str], seconds: float) -> None:
        """Set a new version for each key, which lasts so many seconds. Where the cache fails, return and
        try again meanwhile, in a thread, until it is told."""
        for start in range(0, len(keys), CHUNK):
            if not self._set(keys[start : start + CHUNK], seconds):
                self._tell_later(keys[start:], seconds)
                return

    def _run(self, what: Callable[[BaseCache], T]) -> T | None:
        began = time.monotonic()
        try:
            answer = what(caches[self.alias])
        except Exception as error:
            self._note_failure(began, error)
            return None
        self._note_answer(began)
        return answer

    def _set(self, keys: list[str], seconds: float) -> bool:
        versions = {key: new_version() for key in keys}
        return self._run(lambda cache: cache.set_many(versions, seconds)) == []

    def _note_failure(self, began: float, error: Exception) -> None:
        with self._lock:
            if began < self._failed_at:
                return  # one of several that waited at once
            is_first = not self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE) or FIRST_PAUSE
            self._failed_at, self.back_at = time.monotonic(), float("inf")
            self._until = self._failed_at + self._pause
        if is_first:
            name = type(error).__name__
            logger.warning("session cache %r failed (%s), using the database", self.alias, name)

    def _note_answer(self, began: float) -> None:
        with self._lock:
            if not self._pause or began < self._failed_at:
                return
            self._pause, self._until, self.back_at = 0.0, NEVER, time.time()
        logger.warning("session cache %r answers again", self.alias)

    def _tell_later(self, keys: list[str], seconds: float) -> None:
        with self._lock:
            self._untold |= dict.fromkeys(keys, time.monotonic() + seconds)
            if self._teller and self._teller.is_alive():
                return
            name = "sessions_ext.outages"
            self._teller = threading.Thread(target=self._tell_on, args=[seconds], name=name, daemon=True)
            self._teller.start()
        logger.error(
            "session cache %r could not be told of a change, trying until it is: meanwhile it may accept"
            " ended sessions, for up to VERDICT_TTL",
            self.alias,
        )

    def _tell_on(self, seconds: float) -> None:
        while True:
            time.sleep(RETRY)
            with self._lock:
                now = time.monotonic()
                # What was cached before a change expires by itself.
                self._untold = {key: until for key, until in self._untold.items() if until > now}
                if not self._untold:
                    self._teller = None
                    break
                due = dict(list(self._untold.items())[:CHUNK])
            if self._set(list(due), seconds):
                with self._lock:
                    self._untold = dict(self._untold.items() - due.items())
        caches[self.alias].close()


def new_version() -> str:
    return secrets.token_urlsafe(12)


@cache
def watched(alias: str) -> Watched:
    """The cache of this alias, one object for all threads of the process."""
    return Watched(alias)

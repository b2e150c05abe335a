"""The bounds of a long run that works in small batches beside a running site."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_BATCH = 1_000_000  # rows in one transaction


class ArgumentError(ValueError):
    """An argument of a run that makes no sense. The text begins with the argument's name."""


@dataclass
class Batches:
    """The bounds of one run, and how far it has come. Durations are in seconds."""

    batch_size: int
    sleep: float
    max_rows: int | None
    max_seconds: float | None
    should_stop: Callable[[], object] | None = None
    done: int = 0  # rows
    pause: float = 0  # before the next batch

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= MAX_BATCH:
            raise ArgumentError(f"batch_size must be 1 to {MAX_BATCH}.")
        for name, least in (("sleep", 0), ("max_rows", 1), ("max_seconds", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value < float("inf"):
                raise ArgumentError(f"{name} must be {least} or more.")
        self.deadline = None if self.max_seconds is None else time.monotonic() + self.max_seconds

    def room(self) -> int:
        """How many rows may still be done."""
        return sys.maxsize if self.max_rows is None else self.max_rows - self.done

    def is_over(self) -> bool:
        """Whether a bound was reached, or should_stop() says so."""
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        return is_late or self.room() < 1 or bool(self.should_stop and self.should_stop())

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the run is over."""
        while seconds > 0 and not self.is_over():
            time.sleep(min(seconds, 0.1))
            seconds -= 0.1

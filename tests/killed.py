"""Processes that are killed at random moments while they work in batches."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable

from django.db import connections

Work = Callable[[int, Callable[[object], object]], object]


def kill_at_random(work: Work, times: int, every: int) -> tuple[int, int]:
    """Fork processes that do `work(number, progress)`, one after the other, and kill each after its first
    batch, of which `progress` tells; one of `every` so many also before that, while it connects and looks
    for its first batch. Returns how many were killed, and how many of them after their first batch."""
    killed = amid = 0
    for number in range(times):
        connections.close_all()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _do(work, number, writer)
        os.close(writer)
        if number % every:
            os.read(reader, 1)
            amid += 1
        time.sleep(random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        os.close(reader)
    return killed, amid


def _do(work: Work, number: int, started: int) -> None:
    """In the child: goes on until it is killed."""
    try:
        work(number, lambda done: os.write(started, b"."))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    os._exit(1)

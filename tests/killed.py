"""Processes that are killed at random moments while they work in batches."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from itertools import count

from django.db import connections

Work = Callable[[int, Callable[[object], object]], object]


def kill_at_random(work: Work, times: int, every: int, at_most: int) -> tuple[int, int]:
    """Fork processes that do `work(number, progress)`, one after the other, and kill each after its first
    batch, of which `progress` tells; one of `every` so many also before that, while it connects and looks
    for its first batch. After `at_most` batches a process waits to be killed: where the machine is busy the
    moment may come late, and all would be done. Returns how many were killed, and how many of them after
    their first batch."""
    killed = amid = 0
    for number in range(times):
        connections.close_all()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _do(work, number, writer, at_most)
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


def _do(work: Work, number: int, started: int, at_most: int) -> None:
    """In the child: goes on until it is killed."""
    batches = count(1)

    def progress(done: object) -> None:
        os.write(started, b".")
        if next(batches) == at_most:
            signal.pause()

    try:
        work(number, progress)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    os._exit(1)

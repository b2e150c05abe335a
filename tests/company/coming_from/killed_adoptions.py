"""Adopts in processes that are killed at random moments, until one has finished:
python -m tests.company.coming_from.killed_adoptions SOURCE KILLS. Says how many were killed, and how many of
them after their first batch."""

import json
import os
import random
import signal
import sys
import time

import django

django.setup()

from django.db import connections  # noqa: E402

from sessions_ext.takeover import take_over  # noqa: E402


def work(source, started):
    """In the child: tells the parent when the first batch is done, and goes on until it is killed."""
    try:
        take_over(source, batch_size=2, progress=lambda done: os.write(started, b"."))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)


def main(source, kills):
    killed = amid = 0
    for number in range(kills):
        connections.close_all()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            work(source, writer)
        os.close(writer)
        if number % 3:  # or while it connects and looks for its first batch
            os.read(reader, 1)
            amid += 1
        time.sleep(random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        os.close(reader)
    print(json.dumps({"killed": killed, "amid": amid}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

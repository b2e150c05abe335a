"""Cleans in processes that are killed at random moments: python -m tests.cleanup.killed_cleanups N. Says how
many were killed, and how many of them while they were deleting."""

import json
import os
import random
import signal
import sys
import time

import django

django.setup()

from django.db import connections  # noqa: E402
from django.db.models.signals import post_delete  # noqa: E402

from sessions_ext.models import UserSession  # noqa: E402


def receive(**kwargs):
    """A project's receiver, for which rows are loaded."""


def clean(started, has_receivers):
    """In the child: tells the parent when the first batch is gone, and goes on until it is killed."""
    if has_receivers:
        post_delete.connect(receive, sender=UserSession)
    try:
        UserSession.objects.cleanup(batch_size=2, progress=lambda done: os.write(started, b"."))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    os._exit(1)


def main(times):
    killed = amid_deletes = 0
    for number in range(times):
        connections.close_all()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            clean(writer, has_receivers=number % 4 > 1)
        os.close(writer)
        if number % 2:  # or while it connects and looks for its first batch
            os.read(reader, 1)
            amid_deletes += 1
        time.sleep(random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        os.close(reader)
    print(json.dumps({"killed": killed, "amid deletes": amid_deletes}))


if __name__ == "__main__":
    main(int(sys.argv[1]))

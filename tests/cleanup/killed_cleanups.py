"""Cleans in processes that are killed at random moments: python -m tests.cleanup.killed_cleanups N. Says how
many were killed, and how many of them while they were deleting."""

import json
import sys

import django

django.setup()

from django.db.models.signals import post_delete  # noqa: E402

from sessions_ext.models import UserSession  # noqa: E402
from tests.killed import kill_at_random  # noqa: E402


def receive(**kwargs):
    """A project's receiver, for which rows are loaded."""


def clean(number, progress):
    if number % 4 > 1:
        post_delete.connect(receive, sender=UserSession)
    UserSession.objects.cleanup(batch_size=2, progress=progress)


if __name__ == "__main__":
    killed, amid = kill_at_random(clean, int(sys.argv[1]), every=2, at_most=15)
    print(json.dumps({"killed": killed, "amid deletes": amid}))

"""Adopts in processes that are killed at random moments, until one has finished:
python -m tests.company.coming_from.killed_adoptions SOURCE KILLS. Says how many were killed, and how many of
them after their first batch."""

import json
import sys

import django

django.setup()

from sessions_ext.other_packages import adopt_sessions  # noqa: E402
from tests.killed import kill_at_random  # noqa: E402


def adopt(number, progress):
    adopt_sessions(sys.argv[1], batch_size=2, progress=progress)


if __name__ == "__main__":
    killed, amid = kill_at_random(adopt, int(sys.argv[2]), every=3, at_most=20)
    print(json.dumps({"killed": killed, "amid": amid}))

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from tests.patience import SECONDS
from tests.scaling.servers import PostgreSQL
from tests.servers import free_port, running

PEOPLE, LIMITED = 100, 5
SET_UP = f"""
import django
django.setup()
from django.core.management import call_command
from sessions_ext.testing import UserFactory
call_command("migrate", verbosity=0)
for number in range({PEOPLE}):
    UserFactory(username=f"person{{number}}")
for number in range({LIMITED}):
    UserFactory(username=f"limited{{number}}")
UserFactory(username="staff", is_staff=True, is_superuser=True)
"""
# Each thread has a connection to the database, which stays open until it fails.
PROCESSES, THREADS = 2, 4
SITE = ["-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"]
SITE += ["-w", f"{PROCESSES}", "--threads", f"{THREADS}", "--graceful-timeout", "5"]


def environment(url: str, **more: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.scaling.settings"} | more


@contextmanager
def running_site(folder: Path, url: str, **more: str) -> Iterator[str]:
    """A site on a database, with its log in a folder; yields its address."""
    port = free_port()
    command = [*SITE, "-b", f"127.0.0.1:{port}"]
    with running(command, port, environment(url, **more), folder / "log") as address:
        yield address


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server with the tables and some people."""
    with closing(PostgreSQL()) as server:
        subprocess.run(
            [sys.executable, "-c", SET_UP], env=environment(server.url), check=True, timeout=SECONDS
        )
        yield server


@pytest.fixture(scope="session")
def _numbers() -> dict[str, Iterator[int]]:
    return {"person": count(), "limited": count()}


@pytest.fixture
def names(_numbers) -> Callable[..., list[str]]:
    """So many people whom no other test knows."""
    return lambda many, kind="person": [f"{kind}{number}" for number in islice(_numbers[kind], many)]

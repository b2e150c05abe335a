"""The demo of the example project, running."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import databases
from tests.patience import SECONDS
from tests.servers import free_port, running


class Demo:
    """A demo at `address`, and what it has written since it was started, or reset."""

    def __init__(self, address: str, database: str, log: Path) -> None:
        self.address = address
        self.log = log
        self._beginning = 0
        self._rows = databases.Kept(database)

    def reset(self) -> None:
        """Bring its people and their sessions back as they were at the start."""
        self._rows.bring_back()
        self._beginning = self.log.stat().st_size

    def link(self, path: str) -> str:
        """The one address in its e-mails whose path begins so, once a thread has sent it."""
        end = time.monotonic() + SECONDS
        while not (found := set(re.findall(rf"http://[^/\s]+{path}\S+/", self.mails))):
            assert time.monotonic() < end, self.mails
            time.sleep(0.02)
        (link,) = found
        return str(link)

    @property
    def mails(self) -> str:
        """The e-mails, which it writes to its log, without the line ends of quoted-printable."""
        with self.log.open("rb") as log:
            log.seek(self._beginning)
            return log.read().decode(errors="ignore").replace("=\n", "").replace("=3D", "=")


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """The demo with tests.settings_demo, on a database of its own, until the block ends."""
    with databases.empty(folder) as url, demo_on(url, folder, "tests.settings_demo") as demo:
        yield demo


@contextmanager
def demo_on(url: str, folder: Path, settings: str = "example_project.settings") -> Iterator[Demo]:
    """`manage.py demo` on the database at `url`, which it fills, until the block ends."""
    port, log = free_port(), folder / "demo.log"
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONUNBUFFERED": "1",
    }
    with running(["manage.py", "demo", str(port)], port, environment, log) as address:
        yield Demo(address, url, log)

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.cache import cache as django_cache
from django.core.signals import setting_changed
from django.db import connection
from django.dispatch import receiver
from django.test import AsyncClient, TransactionTestCase
from django.utils import timezone, translation
from playwright.sync_api import Browser

from sessions_ext import activity, managers, payloads
from sessions_ext.models import UserSession
from sessions_ext.outages import watched
from sessions_ext.testing import UserFactory
from tests import programs, threads
from tests.browsers import Loop, Visitor, running_chromium
from tests.databases import delete_rows
from tests.demos import Demo, running_demo

HERE = Path(__file__).parent
# A failed `assert` of the tests' helpers is told as one of a test.
pytest.register_assert_rewrite(
    *(name for path in HERE.iterdir() if (name := f"tests.{path.stem}") not in sys.modules)
)

# Python may keep what it compiles, or each process that a test starts would compile everything again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Races, and what measures times, that no line needs in order to be covered.
RACES = {
    HERE / "concurrency",
    HERE / "scaling",
    HERE / "test_benchmarks.py",
    HERE / "test_redis.py",
    HERE / "test_redis_outages.py",
    HERE / "tokens/test_races.py",
    HERE / "verdicts/test_races.py",
}
NEEDS_PROCESSORS = RACES | {
    HERE / "admin/test_list.py",
    HERE / "cleanup/test_beside_others.py",
    HERE / "cleanup/test_locks.py",
}
# A line that only a race runs would be covered by chance. The walk goes through operations that have tests of
# their own. Tracing takes a third of the time of both.
UNTRACED = RACES | {HERE / "distributed/test_walk.py"}
# Without a part that differs between databases.
SAME_ON_ALL_DATABASES = {
    HERE / "api/test_openapi.py",
    HERE / "clients",
    HERE / "docs",
    HERE / "projects",
    HERE / "scaling",
    HERE / "store/in_company",
    HERE / "test_benchmarks.py",
    HERE / "test_conf.py",
    HERE / "test_demo.py",
    HERE / "test_endings.py",
    HERE / "test_imports.py",
    HERE / "test_locale.py",
    HERE / "test_packaging.py",
    HERE / "test_programs.py",
    HERE / "test_servers.py",
}
# The suites of other packages have settings of their own.
OTHERS = {"tests.company.settings": "company/coming_from", "tests.company.coming_from.settings": None}
ignored = OTHERS.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""), "company")
collect_ignore = [ignored] if ignored else []


def pytest_xdist_auto_num_workers(config) -> int | None:
    """None for single files: one process has run those before a second one has started."""
    return (
        0 if all(Path(argument.partition("::")[0]).is_file() for argument in config.args) else os.cpu_count()
    )


@pytest.hookimpl(tryfirst=True)  # or the workers look for groups before
def pytest_collection_modifyitems(items) -> None:
    """One worker alone has a browser and the demo for it, and one has all that needs the processors."""
    for item in items:
        if {"visitor", "demo"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group("browser"))
            if item.path.parent.name != "admin" or connection.vendor != "postgresql":
                item.add_marker(
                    pytest.mark.once
                )  # Django's admin looks different from one version to the next
        elif {item.path, item.path.parent} & NEEDS_PROCESSORS:
            item.add_marker(pytest.mark.xdist_group("processors"))
        if {item.path, item.path.parent} & UNTRACED:
            item.add_marker(pytest.mark.no_cover)
        if connection.vendor != "postgresql" and {item.path, item.path.parent} & SAME_ON_ALL_DATABASES:
            item.add_marker(pytest.mark.once)


def pytest_collection_finish() -> None:
    """What stays until the end is not looked through for garbage again and again."""
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # so that it writes after all others
def pytest_terminal_summary(terminalreporter) -> Iterator[None]:
    """What was skipped for want of a program, and how to have it."""
    yield
    skipped = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    if packages := programs.packages_for(skipped):
        terminalreporter.section("programs are missing", yellow=True)
        terminalreporter.line("What needs them was skipped. To run it, too:")
        terminalreporter.line(f"    apt-get install {' '.join(packages)}")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Statistics of the table are those that a test gathers, and locks those that it takes: none of a moment
    at which PostgreSQL cleans up."""
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {UserSession._meta.db_table} SET (autovacuum_enabled = off)")


ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


@pytest.fixture(scope="session", autouse=True)
def _tables_emptied_quickly() -> Iterator[None]:
    """After a test that commits."""
    as_django_does = TransactionTestCase._fixture_teardown

    def empty(self) -> None:
        if connection.vendor != "postgresql" or self._databases_names() != ["default"] or not delete_rows():
            as_django_does(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield


@pytest.fixture
def user(db):
    return UserFactory()


@pytest.fixture(params=ENGINES)
def engine(request, settings) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    return request.param


@pytest.fixture
def aget(client):
    """GET through the async stack with the cookies of `client`, from sync code."""
    async_client = AsyncClient()
    async_client.cookies = client.cookies
    return async_to_sync(async_client.get)


@pytest.fixture
def apost(client):
    """POST through the async stack with the cookies of `client`, from sync code."""
    async_client = AsyncClient()
    async_client.cookies = client.cookies
    return async_to_sync(async_client.post)


@pytest.fixture
def both(client, aget):
    """GET a path sync, and its async sibling, and return both bodies."""
    return lambda path: (client.get(path).content.decode(), aget(f"/a{path[1:]}").content.decode())


@pytest.fixture
def later():
    """Move the clock on by some seconds."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield lambda seconds: traveller.shift(seconds)


@receiver(setting_changed)
def _write_statements_anew(setting: str, **kwargs) -> None:
    """Statements that are written once know how to read times: on MariaDB, with a zone or without."""
    if setting == "USE_TZ":
        for statement in (managers.VERIFY, activity.TOUCH, payloads.LOAD, payloads.LOAD_WITH_ROW):
            statement.prepared.clear()


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request leaves its language to its thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """No thread of the app outlives the test, and writes to the cache, log and mails of another."""
    yield
    with watched("default")._lock:
        watched("default")._untold = {}  # nobody asks for it any more
    threads.wait_for("sessions_ext.")
    django_cache.clear()
    watched.cache_clear()


@pytest.fixture
def receiver_of():
    """Connect to a signal; what it sends from then on collects in the returned list."""
    connected = []

    def connect(signal):
        received = []

        def receive(sender, signal, **kwargs):
            received.append(kwargs)

        signal.connect(receive)
        connected.append((signal, receive))
        return received

    yield connect
    for signal, receive in connected:
        signal.disconnect(receive)


@pytest.fixture(scope="session")
def _demo(tmp_path_factory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def demo(_demo) -> Demo:
    """The demo of tests.settings_demo as it is when somebody starts it."""
    _demo.reset()
    return _demo


@pytest.fixture(scope="session")
def _chromium() -> Iterator[tuple[Browser, Loop]]:
    with running_chromium() as browser:
        loop = Loop()
        loop.rest()
        yield browser, loop
        loop.wake()


@pytest.fixture
def visitor(_chromium, demo) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of the demo; at the end, no browser may have had a complaint. The options
    are those of Playwright's new_context()."""
    browser, loop = _chromium
    visitors = []

    def make(**options):
        visitors.append(Visitor(browser, demo.address, **options))
        return visitors[-1]

    loop.wake()
    yield make
    for one in visitors:
        one.context.close()
    loop.rest()
    complaints = [complaint for one in visitors for complaint in one.complaints]
    assert not complaints, "\n".join(complaints)

import os
from collections.abc import Callable, Iterator

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import AsyncClient
from django.utils import timezone, translation

from sessions_ext.testing import UserFactory
from tests.browsers import Visitor, running_chromium, running_demo

# It starts the suite again with other user models, and would start itself there.
collect_ignore = ["test_user_models.py"] if "USER_MODEL" in os.environ else []
# The suite of other packages has settings of its own.
collect_ignore += ["company"] if os.environ.get("DJANGO_SETTINGS_MODULE") != "tests.company.settings" else []

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


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


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request leaves its language to its thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    yield
    cache.clear()


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


@pytest.fixture
def demo(tmp_path) -> Iterator[str]:
    """The address of a demo of the test's own."""
    with running_demo(tmp_path) as server:
        yield server


@pytest.fixture
def visitor(demo) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of the demo; at the end, no browser may have had a complaint. The options
    are those of Playwright's new_context()."""
    visitors = []
    with running_chromium() as browser:

        def make(**options):
            visitors.append(Visitor(browser, demo, **options))
            return visitors[-1]

        yield make
        complaints = [complaint for one in visitors for complaint in one.complaints]
    assert not complaints, "\n".join(complaints)

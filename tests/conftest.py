import os
from collections.abc import Iterator

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import AsyncClient
from django.utils import timezone

from sessions_ext.testing import UserFactory

# It starts the suite again with other user models, and would start itself there.
collect_ignore = ["test_user_models.py"] if "USER_MODEL" in os.environ else []

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

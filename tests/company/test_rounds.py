"""Revokes against messages over open sockets, again and again: 20 rounds, or as many as
SOCKET_ROUNDS says."""

import os
import threading
import time

import pytest
from django.db import connection
from websockets.exceptions import ConnectionClosed

from tests import databases
from tests.company.servers import Socket, assert_within, serving
from tests.company.test_channels import by_ours
from tests.company.test_sockets import AT_ONCE, CLOSED, KINDS, layer
from tests.patience import SECONDS
from tests.servers import free_port, running
from tests.store.in_company.conftest import Browser
from tests.store.in_company.test_reads import rows_of
from tests.test_redis import Redis

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = int(os.environ.get("SOCKET_ROUNDS", 20))
ABREAST = 10  # the rounds that are under way at the same time without a layer
RECHECK = 1  # second


class Talk:
    """Asks and hears over one socket, as fast as it goes, until the server closes it."""

    def __init__(self, server, kind, cookie):
        self.socket = Socket(server, f"{kind}/", cookie)
        self.heard, self.last, self.code = 0, 0.0, None
        self.warm = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while True:
                self.socket.ask("ping")
                self.heard, self.last = self.heard + 1, time.monotonic()
                if self.heard == 3:
                    self.warm.set()
        except ConnectionClosed as closed:
            self.code = closed.rcvd and closed.rcvd.code
        finally:
            self.socket.close()

    def end(self, within):
        """Wait for the close; whatever happens, the socket is closed then."""
        self.thread.join(within)
        self.socket.close()
        self.thread.join(SECONDS)


def revoke_amid_talk(server, user, browser, number):
    browser.session = browser.log_in(user)
    talks = [Talk(server, KINDS[(number + each) % len(KINDS)], browser.cookie) for each in range(2)]
    assert all(talk.warm.wait(SECONDS) for talk in talks)
    assert rows_of(user).filter(pk=browser.session.pk).revoke("stolen") == 1
    return time.monotonic(), talks


def assert_ended(returned, talks, within):
    for talk in talks:
        talk.end(SECONDS)
        assert talk.code == CLOSED
        assert_within(within, returned, talk.last)


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


def test_no_message_is_served_long_after_a_revoke(user, settings, redis):
    """F29: by the layer alone; the re-check is far off."""
    settings.CHANNEL_LAYERS = layer(redis.url)
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": 600}
    with serving(by_ours()) as server:
        for number in range(ROUNDS):
            browser = Browser(is_async=False)
            assert_ended(*revoke_amid_talk(server, user, browser, number), within=AT_ONCE)


@pytest.mark.parametrize("layers", ["none", "deaf"])
def test_no_message_is_served_after_the_recheck(user, settings, redis, layers):
    """F29: the layer is down."""
    deaf = layer(redis.url, "tests.company.test_sockets.Deaf")
    settings.CHANNEL_LAYERS = deaf if layers == "deaf" else {}
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": RECHECK}
    with serving(by_ours()) as server:
        for first in range(0, ROUNDS, ABREAST):
            numbers = range(first, min(first + ABREAST, ROUNDS))
            rounds = [revoke_amid_talk(server, user, Browser(is_async=False), number) for number in numbers]
            for returned, talks in rounds:
                assert_ended(returned, talks, within=RECHECK + AT_ONCE)


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.db", "sessions_ext.engines.db"])
def test_a_revoke_in_this_process_closes_the_sockets_of_daphne(user, settings, redis, tmp_path, engine):
    settings.SESSION_ENGINE = engine
    settings.CHANNEL_LAYERS = layer(redis.url)
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.company.settings",
        "LAYER_URL": redis.url,
        "SESSION_ENGINE": engine,
    }
    command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "tests.company.asgi:application"]
    with running(command, port, environment, tmp_path / "daphne.log"):
        server = f"127.0.0.1:{port}"
        browser = Browser(is_async=False)
        returned, talks = revoke_amid_talk(server, user, browser, 0)
        assert_ended(returned, talks, within=AT_ONCE)
        socket = Socket(server, "account/", browser.cookie)
        assert (socket.ask()["user"], socket.ask()["row"]) == (None, None)
        socket.close()

"""An ASGI server on loopback in a thread of the test, clients for its websockets, and how soon it answers."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter
from django.db import connections
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.patience import SECONDS


@contextmanager
def serving(sockets: Any) -> Iterator[str]:
    """The address, HOST:PORT, at which these websockets are served until the block ends."""
    config = uvicorn.Config(
        ProtocolTypeRouter({"websocket": sockets}),
        port=0,
        lifespan="off",
        ws="websockets-sansio",
        log_level="error",
        timeout_graceful_shutdown=2,
    )
    server, failed = uvicorn.Server(config), []

    async def serve() -> None:
        await server.serve()
        # The thread that Django's sync code ran in outlives the server, and so would its connections.
        await sync_to_async(connections.close_all)()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), failed
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(SECONDS)
    assert not failed
    assert not thread.is_alive()


class Socket:
    """A websocket that speaks JSON, open with the cookie of a browser."""

    def __init__(self, server: str, path: str, cookie: str | None = None, **headers: str) -> None:
        if cookie is not None:
            headers["Cookie"] = f"sessionid={cookie}"
        self._opened = ExitStack()
        self.connection = self._opened.enter_context(
            connect(f"ws://{server}/{path}", additional_headers=headers, proxy=None, open_timeout=SECONDS)
        )

    def ask(self, do: str = "see", **more: Any) -> Any:
        self.connection.send(json.dumps({"do": do, **more}))
        return self.hear()

    def hear(self) -> Any:
        return json.loads(self.connection.recv(timeout=SECONDS))

    def code_of_close(self) -> int:
        """The code by which the server closes the socket. Raises TimeoutError if it does not."""
        try:
            self.connection.recv(timeout=SECONDS)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        raise AssertionError("a message came where none was asked for")

    def close(self) -> None:
        self._opened.close()


class Metronome(threading.Thread):
    """Knows how long the machine let this process wait for its turn."""

    BEAT = 0.01  # seconds

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.beats = [(time.monotonic(), 0.0)]  # when, and how much too late
        self.start()

    def run(self) -> None:
        while True:
            time.sleep(self.BEAT)
            now = time.monotonic()
            self.beats.append((now, now - self.beats[-1][0] - self.BEAT))

    def waited(self, start: float, end: float) -> float:
        """Seconds, of those between the two."""
        while self.beats[-1][0] < end:
            time.sleep(self.BEAT)
        return sum(late for beat, late in self.beats if start < beat and beat - late < end)


metronome = Metronome()


def assert_within(seconds: float, start: float, end: float) -> None:
    """Of the time that the machine had for this process, no more than this lies between the two."""
    assert end - start <= seconds + metronome.waited(start, end)

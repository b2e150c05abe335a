"""An ASGI server on loopback in a thread of the test, and clients for its websockets."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter
from django.db import connections
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SECONDS = 30  # within which a busy machine does anything


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

    def code_of_close(self, within: float) -> int:
        """The code by which the server closes the socket. Raises TimeoutError if it does not."""
        try:
            self.connection.recv(timeout=within)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        raise AssertionError("a message came where none was asked for")

    def close(self) -> None:
        self._opened.close()

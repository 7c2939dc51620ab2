"""A client that takes a message and closes while the app still waits for the message to leave."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

import pytest

from tests import raw_websocket
from tests.conftest import ServeShared
from tests.websocket_apps import Talk

# More than may wait for a socket, so that the app waits; less than the kernel keeps for a loopback connection.
LARGE = b"x" * 200_000


@pytest.mark.differs_from_uvicorn("nobody answers a close frame there while the event loop is busy")
def test_message_that_was_taken_is_sent_even_if_the_client_closes_at_once(serve_shared: ServeShared) -> None:
    closed = threading.Event()
    ends: SimpleQueue[object] = SimpleQueue()

    async def script(talk: Talk) -> None:
        await talk.accept()
        loop = asyncio.get_running_loop()
        # The loop is busy from when the message is on its way until the client has closed.
        loop.call_soon(loop.call_soon, closed.wait, 5)
        await talk.send({"type": "websocket.send", "bytes": LARGE})
        ends.put((await talk.receive())["code"])

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == LARGE
        socket.send_close(4002)
        # The connection is over before the app hears of anything.
        assert socket.read() == raw_websocket.Close(4002, "")
        closed.set()
        assert talk.error() is None
    assert ends.get(timeout=5) == 4002

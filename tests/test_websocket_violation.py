"""A frame that breaks the protocol, behind a message that the app still works on."""

from __future__ import annotations

import asyncio
import time
from queue import SimpleQueue

from tests import raw_websocket as ws
from tests.conftest import ServeShared
from tests.websocket_apps import Talk

# What is owed to a peer that breaks the protocol is given up after a second. A busy machine may take as long, once.
TRIES, TOLD_SECONDS = 6, 0.5


def test_a_violation_is_told_as_soon_as_the_app_asks_for_more(serve_shared: ServeShared) -> None:
    gates: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.next()
        gate = asyncio.Event()
        gates.put((asyncio.get_running_loop(), gate))
        await gate.wait()
        await talk.until_disconnect()

    server = serve_shared(Talk(script))
    waits: list[float] = []
    for _ in range(TRIES):
        with ws.connect(server.host, server.port) as socket:
            socket.send("one")
            loop, gate = gates.get(timeout=5)
            # Whoever has answered the ping has read what came with it.
            socket.pipe.send(ws.frame(ws.PING) + ws.frame(ws.TEXT, b"two", rsv=2))
            assert socket.read_frame().opcode == ws.PONG
            begin = time.monotonic()
            loop.call_soon_threadsafe(gate.set)
            closed = socket.read()
            waits.append(time.monotonic() - begin)
            assert isinstance(closed, ws.Close), closed
            assert closed.code == 1002
    assert sorted(waits)[-2] < TOLD_SECONDS, waits

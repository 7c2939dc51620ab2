"""Who waits for whom on a WebSocket: clients for apps, apps for clients, and nobody for a third."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import pytest

from bicorn.errors import ClientDisconnected
from tests import raw_websocket
from tests.apps import Gate
from tests.conftest import ServeShared
from tests.raw_websocket import BINARY
from tests.websocket_apps import Talk, echo, text

# More than the kernel keeps for both ends of a loopback connection.
PLENTY = 64 * 1024 * 1024


def client_of(socket: raw_websocket.WebSocket) -> Any:
    """The raw.Client below a WebSocket."""
    return socket.pipe


def send_until_stalled(socket: raw_websocket.WebSocket, data: bytes, quiet: float = 0.5) -> tuple[int, bytes]:
    """Send copies of `data` until none is taken for `quiet` seconds: how many bytes, and the rest of the last copy."""
    client = client_of(socket)
    timeout = client.socket.gettimeout()
    client.socket.setblocking(False)
    sent, rest = 0, data
    with selectors.DefaultSelector() as selector:
        selector.register(client.socket, selectors.EVENT_WRITE)
        while selector.select(quiet) and sent < PLENTY:
            taken = client.socket.send(rest)
            sent += taken
            rest = rest[taken:] or data
    client.socket.settimeout(timeout)
    return sent, rest


@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_a_client_is_held_back_by_an_app_that_takes_nothing(size: int, serve_shared: ServeShared) -> None:
    gate = Gate()
    counted: list[int] = []

    async def script(talk: Talk) -> None:
        await talk.accept()
        await gate.wait()
        count = 0
        while "bytes" in await talk.receive():
            count += 1
        counted.append(count)

    talk = Talk(script)
    server = serve_shared(talk)
    frame = raw_websocket.frame(BINARY, b"x" * size)
    copies = frame * max(1, 100_000 // len(frame))
    with raw_websocket.connect(server.host, server.port) as socket:
        sent, rest = send_until_stalled(socket, copies)
        assert sent < PLENTY
        gate.open()
        if rest is not copies:
            client_of(socket).send(rest)
            sent += len(rest)
        socket.send("end")
        assert talk.error() is None
    assert counted == [sent // len(frame)]


def test_an_app_is_held_back_by_a_client_that_reads_nothing(serve_shared: ServeShared) -> None:
    stalled: SimpleQueue[int] = SimpleQueue()
    data = b"x" * 10_000

    async def script(talk: Talk) -> None:
        await talk.accept()
        for count in range(1, PLENTY // len(data)):
            try:
                await asyncio.wait_for(talk.send({"type": "websocket.send", "bytes": data}), 0.5)  # type: ignore[arg-type]
            except asyncio.TimeoutError:
                stalled.put(count)
                break
        await talk.send(text("end"))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        # Giving up on `send` does not take back what waits.
        for _ in range(stalled.get(timeout=20)):
            assert socket.read() == data
        assert socket.read() == "end"
        # A client that left would be told to a `send` that still waits.
        assert talk.error() is None


def test_a_send_that_waits_raises_when_the_client_leaves(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        while True:
            await talk.send({"type": "websocket.send", "bytes": b"x" * 100_000})

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.read()
        client_of(socket).reset()
        assert type(talk.error()) is ClientDisconnected


def test_slow_clients_do_not_delay_others(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with ExitStack() as stack:
        slow = [stack.enter_context(raw_websocket.connect(server.host, server.port)) for _ in range(20)]
        for socket in slow:
            # Their echoes are read by nobody.
            socket.send(b"x" * 1_000_000)
        with raw_websocket.connect(server.host, server.port) as quick:
            for number in range(100):
                quick.send(str(number))
                assert quick.read() == str(number)
        for socket in slow:
            assert socket.read() == b"x" * 1_000_000


def test_many_connections(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with ExitStack() as stack:
        sockets = [stack.enter_context(raw_websocket.connect(server.host, server.port)) for _ in range(200)]
        for round_number in range(3):
            for number, socket in enumerate(sockets):
                socket.send(f"{round_number} {number}")
            for number, socket in enumerate(sockets):
                assert socket.read() == f"{round_number} {number}"


def test_two_tasks_may_send(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()

        async def say(word: str) -> None:
            for _ in range(200):
                await talk.send(text(word))

        await asyncio.gather(say("a"), say("b"))
        await talk.send(text("end"))
        await talk.until_disconnect()

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        heard: list[object] = []
        while (message := socket.read()) != "end":
            heard.append(message)
    assert (heard.count("a"), heard.count("b"), len(heard)) == (200, 200, 400)

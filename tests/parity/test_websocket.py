"""Messages of an open WebSocket, as the app and the peer see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import raw_websocket
from tests.apps import Event, turn_loop
from tests.conftest import Serve, ServeShared
from tests.raw import Closed
from tests.raw_websocket import CONTINUATION, PING, TEXT, Close
from tests.websocket_apps import Talk, accept_and_wait, echo, text


def test_events_have_one_of_text_and_bytes(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        for message in ("héllo", b"\xff\x00", "", b""):
            socket.send(message)
        socket.send_close(1000)
        assert talk.events_until_disconnect() == [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "héllo"},
            {"type": "websocket.receive", "bytes": b"\xff\x00"},
            {"type": "websocket.receive", "text": ""},
            {"type": "websocket.receive", "bytes": b""},
            {"type": "websocket.disconnect", "code": 1000, "reason": ""},
        ]
        assert socket.read() == Close(1000, "")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
@pytest.mark.parametrize("kind", [str, bytes])
def test_echo_of_every_size(size: int, kind: type, serve_shared: ServeShared) -> None:
    message: Any = "é" * (size // 2) + "x" * (size % 2) if kind is str else b"x" * size
    server = serve_shared(echo)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.send(message)
        assert socket.read() == message


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({"text": "a"}, "a"),
        ({"bytes": b"a"}, b"a"),
        ({"bytes": b"a", "text": None}, b"a"),
        ({"bytes": None, "text": "a"}, "a"),
        ({"bytes": b"a", "text": "b"}, b"a"),
        ({"bytes": bytearray(b"a")}, b"a"),
        ({"bytes": memoryview(b"a")}, b"a"),
        ({"text": ""}, ""),
        ({}, "end"),
        ({"bytes": None, "text": None}, "end"),
    ],
)
def test_what_a_send_event_may_hold(event: Event, sent: object, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send({"type": "websocket.send", **event})
        await talk.send(text("end"))
        await talk.until_disconnect()

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == sent


def test_fragments_are_one_message_and_pings_may_come_between(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.send_frame(TEXT, b"one ", fin=False)
        socket.send_frame(PING, b"still there?")
        socket.send_frame(CONTINUATION, b"and ", fin=False)
        socket.send_frame(CONTINUATION, b"two")
        assert socket.read() == "one and two"
        assert socket.pongs == [b"still there?"]


def test_order_is_kept(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with raw_websocket.connect(server.host, server.port) as socket:
        for number in range(500):
            socket.send(str(number))
        assert [socket.read() for _ in range(500)] == [str(number) for number in range(500)]


@pytest.mark.parametrize("kind", ["websocket.accept", "http.response.body", "nonsense"])
def test_an_unknown_event_behind_the_acceptance_raises(kind: str, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send({"type": kind})

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket, pytest.raises(Closed):
        socket.read_frame()
    error = talk.error()
    assert type(error) is RuntimeError
    assert str(error) == f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'."


def test_an_event_without_a_type_raises(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send({})

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket, pytest.raises(Closed):
        socket.read_frame()
    error = talk.error()
    assert (type(error), error.args if error else None) == (KeyError, ("type",))


def test_a_client_that_answers_pings_stays(serve: Serve) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await asyncio.sleep(1)
        await talk.send(text("still here"))
        await talk.until_disconnect()

    options = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}
    with serve(Talk(script), **options) as server, raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "still here"


@pytest.mark.parametrize("interval", [None, 0])
def test_pings_can_be_turned_off(interval: float | None, serve: Serve) -> None:
    options = {"ws_ping_interval": interval, "ws_ping_timeout": None}
    with serve(echo, **options) as server, raw_websocket.connect(server.host, server.port) as socket:
        assert socket.pipe.silent_for(0.3)  # type: ignore[attr-defined]  # a raw.Client


def test_receive_may_be_waited_for_beside_other_work(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        waiting = asyncio.create_task(talk.receive())  # type: ignore[arg-type]  # a coroutine, as under uvicorn
        await turn_loop()
        await talk.send(text("meanwhile"))
        event = await waiting
        await talk.send(text("got " + event["text"]))

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "meanwhile"
        socket.send("it")
        assert socket.read() == "got it"


def test_a_cancelled_receive_loses_nothing(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        for _ in range(3):
            try:
                await asyncio.wait_for(talk.receive(), 0.01)
            except asyncio.TimeoutError:
                continue
        await talk.send(text("ready"))
        event = await talk.receive()
        await talk.send(text("got " + event["text"]))

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "ready"
        socket.send("it")
        assert socket.read() == "got it"

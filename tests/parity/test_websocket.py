"""Messages of an open WebSocket and the ways it ends, as the app and the peer see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import raw_websocket
from tests.apps import Event, turn_loop
from tests.conftest import Serve, ServeShared
from tests.parity.test_websocket_handshake import records
from tests.raw import Closed
from tests.raw_websocket import CLOSE, CONTINUATION, PING, TEXT, Close
from tests.websocket_apps import Talk, close, echo, text


async def accept_and_wait(talk: Talk) -> None:
    await talk.accept()
    await talk.until_disconnect()


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


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        (close(4002, "bye"), 4002, "bye"),
        ({"type": "websocket.close"}, 1000, ""),
        (close(1001, None), 1001, ""),
        (close(3000, "ü" * 61), 3000, "ü" * 61),
    ],
)
def test_the_app_closes(event: Event, code: int, reason: str, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(event)
        await talk.until_disconnect()

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == Close(code, reason)
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": code, "reason": reason}
        # Nobody hears this any more, but it is allowed.
        socket.send("late")
        socket.send_close(code, reason)
        with pytest.raises(Closed):
            socket.read_frame()
    assert talk.error() is None


def test_the_apps_close_comes_behind_what_it_has_not_taken(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.next()
        await talk.send(close(4000))
        await talk.until_disconnect()

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.pipe.send(raw_websocket.frame(TEXT, b"one") + raw_websocket.frame(TEXT, b"two"))
        assert [event.get("text") for event in talk.events_until_disconnect()[1:]] == ["one", "two", None]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_536])
def test_a_close_code_that_no_frame_may_carry_raises(code: int, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(close(code))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket, pytest.raises(Closed):
        socket.read_frame()
    assert talk.error() is not None
    server.logs.wait_for("Exception in ASGI application")


@pytest.mark.parametrize(("event"), [text("x"), close(4000)])
def test_sending_behind_the_apps_close_raises(event: Event, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(close(4002))
        await talk.send(event)

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == Close(4002, "")
        error = talk.error()
        assert type(error) is RuntimeError
        assert str(error) == f"Unexpected ASGI message '{event['type']}', after sending 'websocket.close'."


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


@pytest.mark.parametrize(("code", "reason"), [(4005, "why"), (1000, ""), (1001, "page left"), (3999, "ü")])
def test_the_client_closes(code: int, reason: str, serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.send_close(code, reason)
        assert socket.read() == Close(code, reason)
        with pytest.raises(Closed):
            socket.read_frame()
    event = talk.events_until_disconnect()[-1]
    assert event == {"type": "websocket.disconnect", "code": code, "reason": reason}
    assert talk.error() is None


def test_an_empty_close_frame_is_1005(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.send_close(None)
        frame = socket.read_frame()
        assert (frame.opcode, frame.payload) == (CLOSE, b"")
    event = talk.events_until_disconnect()[-1]
    assert event == {"type": "websocket.disconnect", "code": 1005, "reason": ""}
    assert isinstance(event["code"], int)


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_a_client_that_goes_without_a_word_is_1005(leave: str, serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert talk.next_event() == {"type": "websocket.connect"}
        getattr(socket.pipe, leave)()
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1005}
    assert talk.error() is None


@pytest.mark.parametrize("says_so", [True, False])
def test_sending_to_a_client_that_left_raises(says_so: bool, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await accept_and_wait(talk)
        await talk.send(text("too late"))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        if says_so:
            socket.send_close(4000)
    error = talk.error()
    assert isinstance(error, OSError)
    assert (type(error).__name__, error.args) == ("ClientDisconnected", ())
    # An app may let it escape: nothing is wrong with it.
    assert [message for level, message, _ in records(server) if level != "INFO"] == []


def test_closing_behind_the_clients_close_is_nothing(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await accept_and_wait(talk)
        await talk.send(close(4001))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.send_close(4000)
        assert socket.read() == Close(4000, "")
    assert talk.error() is None


async def say_bye(talk: Talk) -> None:
    await talk.accept()
    await talk.send(text("bye"))


async def say_bye_and_raise(talk: Talk) -> None:
    await say_bye(talk)
    raise ZeroDivisionError("on purpose")


async def say_bye_and_return_something(talk: Talk) -> str:
    await say_bye(talk)
    return "something"


@pytest.mark.parametrize(
    ("script", "logged"),
    [
        (say_bye, []),
        (say_bye_and_raise, [("ERROR", "Exception in ASGI application\n", ())]),
        (
            say_bye_and_return_something,
            [("ERROR", "ASGI callable should return None, but returned '%s'.", ("something",))],
        ),
    ],
)
def test_an_app_that_ends_cuts_the_connection_off(script: Any, logged: Any, serve_shared: ServeShared) -> None:
    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "bye"
        with pytest.raises(Closed):
            socket.read_frame()
    assert records(server)[2:] == logged


def test_an_app_that_ends_behind_its_close_leaves_the_closing_handshake_alone(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(close(4002, "bye"))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert talk.error() is None
        assert socket.read() == Close(4002, "bye")
        assert socket.pipe.silent_for(0.2)  # type: ignore[attr-defined]  # a raw.Client
        socket.send_close(4002, "bye")
        with pytest.raises(Closed):
            socket.read_frame()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (raw_websocket.frame(TEXT, b"\xff"), 1007),
        (raw_websocket.frame(TEXT, b"x", mask=None), 1002),
        (raw_websocket.frame(3, b""), 1002),
        (raw_websocket.frame(CONTINUATION, b"x"), 1002),
        (raw_websocket.frame(CLOSE, b"x"), 1002),
        (raw_websocket.frame_head(TEXT, 1 << 40), 1009),
    ],
)
def test_a_violation_has_its_code(frames: bytes, code: int, serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        socket.pipe.send(frames)
        said = socket.read()
        assert isinstance(said, Close)
        assert said.code == code
        event = talk.events_until_disconnect()[-1]
        assert event == {"type": "websocket.disconnect", "code": code, "reason": event["reason"]}


def test_a_message_above_the_limit_is_1009(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    with serve(talk, ws_max_size=1000) as server, raw_websocket.connect(server.host, server.port) as socket:
        socket.send(b"x" * 1000)
        assert [talk.next_event()["type"] for _ in range(2)] == ["websocket.connect", "websocket.receive"]
        socket.send_frame(TEXT, b"x" * 600, fin=False)
        socket.send_frame(CONTINUATION, b"x" * 401)
        said = socket.read()
        assert isinstance(said, Close)
        assert said.code == 1009
        assert talk.next_event()["code"] == 1009


def test_a_client_that_answers_no_ping_is_1011(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    options = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}
    with serve(talk, **options) as server, raw_websocket.connect(server.host, server.port) as socket:
        socket.answers_pings = False
        assert socket.read() == Close(1011, "keepalive ping timeout")
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1005}


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
    with serve(echo, ws_ping_interval=interval, ws_ping_timeout=None) as server:
        with raw_websocket.connect(server.host, server.port) as socket:
            assert socket.pipe.silent_for(0.3)  # type: ignore[attr-defined]  # a raw.Client


def test_a_server_that_stops_says_1012(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    with serve(talk) as server, raw_websocket.connect(server.host, server.port) as socket:
        assert talk.next_event() == {"type": "websocket.connect"}
        server.stop()
        assert socket.read() == Close(1012, "")
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1012}
        assert talk.error() is None


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

"""The ways a WebSocket ends, as the app, the peer and the log see them."""

from __future__ import annotations

from typing import Any

import pytest

from tests import raw_websocket
from tests.apps import Event
from tests.conftest import Serve, ServeShared
from tests.raw import Closed
from tests.raw_websocket import CLOSE, CONTINUATION, TEXT, Close
from tests.websocket_apps import Talk, accept_and_wait, close, records, text


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


def test_a_server_that_stops_says_1012(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    with serve(talk) as server, raw_websocket.connect(server.host, server.port) as socket:
        assert talk.next_event() == {"type": "websocket.connect"}
        server.stop()
        assert socket.read() == Close(1012, "")
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1012}
        assert talk.error() is None

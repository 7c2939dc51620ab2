"""What bicorn's WebSockets do beside what uvicorn's do: compression, limits, ends, what is left behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from websockets.sync.client import connect

import bicorn
from bicorn.errors import ConfigError
from tests import raw_websocket
from tests.apps import Event, Gate, turn_loop
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.raw import Closed
from tests.raw_websocket import BINARY, DEFLATE, TEXT, Close, Refused
from tests.websocket_apps import Talk, accept_and_wait, close, echo, text

# More than the kernel keeps for both ends of a loopback connection.
PLENTY = 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (DEFLATE, f"{DEFLATE}; server_max_window_bits=12"),
        (
            f"{DEFLATE}; client_max_window_bits",
            f"{DEFLATE}; server_max_window_bits=12; client_max_window_bits=12",
        ),
    ],
)
def test_messages_are_deflated_with_the_window_that_was_agreed(
    offer: str, answer: str, serve_shared: ServeShared
) -> None:
    server = serve_shared(echo)
    with raw_websocket.connect(server.host, server.port, extensions=offer) as socket:
        assert socket.extensions == answer
        for message in ("hello " * 1000, b"hello " * 1000, "", "hello " * 1000):
            socket.send_deflated(message)
            assert socket.read() == message
        socket.send("not deflated")
        frame = socket.read_frame()
        assert (frame.opcode, frame.is_deflated) == (TEXT, True)


def test_deflate_can_be_turned_off(serve: Serve) -> None:
    with (
        serve(echo, ws_per_message_deflate=False) as server,
        raw_websocket.connect(server.host, server.port, extensions=DEFLATE) as socket,
    ):
        assert socket.extensions == ""
        socket.send("hello")
        assert socket.read() == "hello"


def test_a_bomb_is_1009(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    bomb = raw_websocket.deflated(b"\0" * 4 * 1024 * 1024)
    with (
        serve(talk, ws_max_size=1024 * 1024) as server,
        raw_websocket.connect(server.host, server.port, extensions=DEFLATE) as socket,
    ):
        socket.send_frame(BINARY, bomb, rsv=4)
        said = socket.read()
        assert isinstance(said, Close)
        assert said.code == 1009
        assert talk.events_until_disconnect()[-1]["code"] == 1009


def test_another_implementation_talks_to_it(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    url = f"ws://{server.host}:{server.port}/"
    for compression in ("deflate", None):
        with connect(url, compression=compression, proxy=None, max_size=None) as socket:
            for message in ("é" * 10, b"\xff" * 1000, "x" * 1_000_000, b"y" * 5_000_000):
                socket.send(message)
                assert socket.recv(timeout=10) == message
            assert socket.ping().wait(5)
            socket.close(4000, "done")
            assert (socket.close_code, socket.close_reason) == (4000, "done")


def test_bytes_that_come_before_the_acceptance_are_messages_behind_it(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def script(talk: Talk) -> None:
        await talk.next()
        await gate.wait()
        await talk.send({"type": "websocket.accept"})
        await talk.next()

    talk = Talk(script)
    server = serve_shared(talk)
    with server.connect() as client:
        client.send(raw_websocket.handshake() + raw_websocket.frame(TEXT, b"early"))
        assert talk.next_event() == {"type": "websocket.connect"}
        assert client.silent_for(0.1)
        gate.open()
        assert talk.next_event() == {"type": "websocket.receive", "text": "early"}


def test_a_client_that_vanished_leaves_no_task(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    options = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}
    with serve(talk, **options) as server, raw_websocket.connect(server.host, server.port):
        state = server.server.server_state
        assert talk.next_event() == {"type": "websocket.connect"}
        assert len(state.tasks) == 1
        # Nobody reads here, so nobody answers pings.
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1005}
        assert talk.error() is None
        server.stop()
        server.join()
        assert (len(state.tasks), len(state.connections)) == (0, 0)


def test_every_websocket_hears_of_the_shutdown(serve: Serve) -> None:
    with serve(echo) as server, ExitStack() as stack:
        sockets = [stack.enter_context(raw_websocket.connect(server.host, server.port)) for _ in range(50)]
        server.stop()
        assert [socket.read() for socket in sockets] == [Close(1012, "")] * 50
        server.join()


def test_an_app_that_ignores_the_shutdown_is_cancelled(serve: Serve) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await asyncio.sleep(60)

    talk = Talk(script)
    with serve(talk, timeout_graceful_shutdown=0.2) as server:
        with raw_websocket.connect(server.host, server.port) as socket:
            assert talk.next_event() == {"type": "websocket.connect"}
            server.stop()
            assert socket.read() == Close(1012, "")
            assert isinstance(talk.error(), asyncio.CancelledError)
            server.join()
        server.logs.wait_for("Cancel 1 running task(s)")


def test_an_undecided_handshake_is_answered_at_shutdown(serve: Serve) -> None:
    talk = Talk(Talk.until_disconnect)
    with serve(talk) as server, server.connect() as client:
        client.send(raw_websocket.handshake())
        assert talk.next_event() == {"type": "websocket.connect"}
        server.stop()
        assert client.response().status == 500
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1006}
        assert talk.error() is None


def test_a_reason_that_no_frame_holds_raises_and_changes_nothing(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        with pytest.raises(RuntimeError, match="control frame too long"):
            await talk.send(close(4000, "x" * 124))
        await talk.send(close(4000, "x" * 123))

    talk = Talk(script)
    server = serve_shared(talk)
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == Close(4000, "x" * 123)
    assert talk.error() is None


@pytest.mark.parametrize(
    "event",
    [
        {"headers": [(b"x", b"a\r\nb: c")]},
        {"headers": [(b"x y", b"a")]},
        {"subprotocol": "a\r\nb: c"},
    ],
)
def test_an_acceptance_cannot_split_the_response(event: Event, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        await talk.send({"type": "websocket.accept", **event})

    talk = Talk(script)
    server = serve_shared(talk)
    with pytest.raises(Refused) as refusal, raw_websocket.connect(server.host, server.port):
        pass
    assert refusal.value.response.status == 500
    assert type(talk.error()) is RuntimeError


def test_denial_with_another_length_than_announced_is_500(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        headers = [(b"content-length", b"3")]
        await talk.send({"type": "websocket.http.response.start", "status": 400, "headers": headers})
        await talk.send({"type": "websocket.http.response.body", "body": b"no"})

    talk = Talk(script)
    server = serve_shared(talk)
    with pytest.raises(Refused) as refusal, raw_websocket.connect(server.host, server.port):
        pass
    assert refusal.value.response.status == 500
    assert str(talk.error()) == "Response content shorter than Content-Length"


def test_text_that_is_no_text_raises(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        with pytest.raises(AttributeError, match="'int' object has no attribute 'encode'"):
            await talk.send({"type": "websocket.send", "text": 1})
        with pytest.raises(UnicodeEncodeError):
            await talk.send(text("\ud800"))
        with pytest.raises(TypeError):
            await talk.send({"type": "websocket.send", "bytes": "text"})
        await talk.send(text("fine"))

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "fine"


def test_nothing_of_a_websocket_outlives_it(serve_shared: ServeShared) -> None:
    class Trace: ...

    traces: list[weakref.ref[Trace]] = []

    async def script(talk: Talk) -> None:
        trace = talk.scopes.get_nowait()["trace"] = Trace()
        traces.append(weakref.ref(trace))
        await talk.accept()
        event = await talk.receive()
        await talk.send({"type": "websocket.send", "text": event["text"]})
        await talk.receive()

    talk = Talk(script)
    server = serve_shared(talk)
    for _ in range(3):
        with raw_websocket.connect(server.host, server.port) as socket:
            socket.send("x" * 100_000)
            socket.read()
        assert talk.error() is None
        talk.receive = talk.send = None  # type: ignore[assignment]

    async def look(talk: Talk) -> None:
        await talk.accept()
        await turn_loop()
        gc.collect()
        await talk.send(text(str(sum(trace() is not None for trace in traces))))

    server = serve_shared(Talk(look))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert socket.read() == "0"


def test_receives_that_are_given_up_leave_nothing(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        for _ in range(300):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(talk.receive(), 0.0001)  # type: ignore[arg-type]
        gc.collect()
        futures = (one for one in gc.get_objects() if isinstance(one, asyncio.Future))
        await talk.send(text(str(sum(future.cancelled() for future in futures))))

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        message = socket.read()
        assert isinstance(message, str)
        assert int(message) < 10


def test_another_implementation_cannot_be_plugged_in() -> None:
    class Protocol: ...

    for ws in ("my.module:Protocol", Protocol):
        config = bicorn.Config("a:b", ws=ws, log_config=None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="takes no other implementation"):
            config.load_settings()
    assert issubclass(ConfigError, ValueError)


def test_a_wsgi_app_knows_no_websockets(serve: Serve) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-length", "2")])
        return [b"hi"]

    with (
        serve(app, interface="wsgi") as server,
        pytest.raises(Refused) as refusal,
        raw_websocket.connect(server.host, server.port),
    ):
        pass
    assert refusal.value.response.status == 200


def test_options_are_those_of_the_command_line(serve_process: ServeProcess) -> None:
    arguments = ("--ws", "wsproto", "--ws-max-size", "100", "--ws-per-message-deflate", "false")
    with serve_process("tests.websocket_apps:echo", "--lifespan", "off", *arguments) as server:
        with raw_websocket.connect(server.host, server.port, extensions=DEFLATE) as socket:
            assert socket.extensions == ""
            socket.send("x" * 100)
            assert socket.read() == "x" * 100
            socket.send("x" * 101)
            said = socket.read()
            assert isinstance(said, Close)
            assert said.code == 1009
            with pytest.raises(Closed):
                socket.read_frame()
        assert server.stderr is not None
        server.stderr.wait_for(r'"WebSocket /" \[accepted\]')
        server.stderr.wait_for("connection open")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly from 3.12 on")
def test_an_app_that_never_waits_is_served_at_once(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(text("one"))
        await talk.send(text("two"))
        await talk.send(close(4000))

    server = serve_shared(Talk(script))
    with raw_websocket.connect(server.host, server.port) as socket:
        assert [socket.read(), socket.read(), socket.read()] == ["one", "two", Close(4000, "")]

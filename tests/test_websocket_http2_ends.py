"""How WebSockets over HTTP/2 (RFC 8441) end, and who waits for whom."""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from typing import Any

import pytest

from bicorn.errors import ClientDisconnected
from tests import http2_frames as h2
from tests import raw_websocket
from tests.apps import Gate, Receive, Scope, Send, body, start
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.processes import forget_peak, needs_proc, peak_kib, wait_until_idle
from tests.raw import Closed
from tests.raw_http2 import Client
from tests.raw_websocket import BINARY, CLOSE, PING, TEXT, Close, close_payload
from tests.websocket_apps import Talk, accept_and_wait, close, echo, text
from tests.websocket_streams import ask, connected, opened, stream_of, wait_over

pytestmark = pytest.mark.differs_from_uvicorn("no HTTP/2")

MIB = 1024 * 1024


@pytest.mark.parametrize("said", [close(3001, "enough"), close(1000), close(4999, "x" * 123)])
def test_the_application_closes(said: dict[str, Any], serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(said)
        await talk.until_disconnect()

    talk = Talk(script)
    server = serve_shared(talk)
    with connected(server) as client:
        socket = opened(client)
        assert socket.read() == Close(said["code"], said["reason"] or "")
        socket.send_close(said["code"])
        assert wait_over(client, socket).reset is None
        assert talk.events_until_disconnect()[-1]["code"] == said["code"]
        client.ping()


def test_the_client_closes(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with connected(server) as client:
        for payload, code, reason in ((close_payload(4000, "é"), 4000, "é"), (b"", 1005, "")):
            socket = opened(client)
            socket.send_frame(CLOSE, payload)
            assert socket.read() == Close(code, reason)
            end = talk.events_until_disconnect()[-1]
            assert end == {"type": "websocket.disconnect", "code": code, "reason": reason}
            assert wait_over(client, socket).is_ended


@pytest.mark.parametrize(
    "leave",
    [
        lambda client, stream: client.send(h2.rst_stream(stream)),
        lambda client, stream: client.send(h2.frame(h2.DATA, h2.END_STREAM, stream)),
        lambda client, _: client.close(),
    ],
    ids=["RST_STREAM", "END_STREAM", "FIN"],
)
def test_a_client_that_leaves_without_a_word_is_1005(leave: Any, serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with connected(server) as client:
        socket = opened(client)
        leave(client, stream_of(socket))
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1005}
        assert talk.error() is None


def test_a_send_that_waits_raises_when_the_client_resets(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        while True:
            await talk.send({"type": "websocket.send", "bytes": b"x" * 100_000})

    talk = Talk(script)
    server = serve_shared(talk)
    with connected(server, grants=False) as client:
        socket = opened(client)
        socket.pipe.exactly(10_000)
        client.send(h2.rst_stream(stream_of(socket)))
        assert type(talk.error()) is ClientDisconnected


def test_an_application_that_raises_resets_the_stream(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        await talk.send(text("last words"))
        raise RuntimeError("no more")

    server = serve_shared(Talk(script))
    with connected(server) as client:
        socket = opened(client)
        assert socket.read() == "last words"
        assert wait_over(client, socket).reset == h2.CANCEL
        client.ping()


def test_a_violation_is_told(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with connected(server) as client:
        socket = opened(client)
        socket.send_frame(TEXT, b"\xff")
        said = socket.read()
        assert isinstance(said, Close)
        assert said.code == 1007
        assert talk.events_until_disconnect()[-1]["code"] == 1007
        assert wait_over(client, socket).is_ended


def test_an_application_that_takes_nothing_holds_its_own_client_back(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/other":
            return await echo(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        await gate.wait()
        taken = 0
        while "bytes" in (event := await receive()):
            taken += len(event["bytes"])
        await send(text(str(taken)))

    server = serve_shared(app)
    message = raw_websocket.frame(BINARY, b"x" * 1000)
    with connected(server) as client:
        socket = opened(client)
        stream, sent = stream_of(socket), 0
        quiet = False
        while not quiet:
            while client.streams[stream].credit >= len(message):
                client.send_body(stream, message, end_stream=False)
                sent += 1
            # All credit that comes has come once a PING is answered and nothing is under way any more.
            before = client.streams[stream].credit
            for _ in range(5):
                client.ping()
            quiet = client.streams[stream].credit == before
        # The 32 messages that wait for the application, the client's window, and no more.
        assert 32 <= sent <= 32 + 64 + 1, sent
        other = opened(client, path=b"/other")
        other.send("x" * 200_000)
        assert other.read() == "x" * 200_000
        gate.open()
        socket.send("end")
        assert socket.read() == str(sent * 1000)


def test_small_frames_may_wait_for_an_application_that_takes_nothing(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def script(talk: Talk) -> None:
        await talk.accept()
        await gate.wait()
        count = 0
        while (event := await talk.receive()).get("text") != "end":
            count += event.get("text") == "x"
        await talk.send(text(str(count)))

    server = serve_shared(Talk(script))
    one = raw_websocket.frame(TEXT, b"x")
    with connected(server) as client:
        socket = opened(client)
        stream = stream_of(socket)
        count = client.streams[stream].credit // len(one)
        client.streams[stream].credit -= count * len(one)
        client.send(h2.frame(h2.DATA, 0, stream, one) * count)
        client.ping()
        gate.open()
        socket.send("end")
        assert socket.read() == str(count)


def test_a_client_that_takes_nothing_holds_its_application_back(serve_shared: ServeShared) -> None:
    stalled: SimpleQueue[int] = SimpleQueue()

    async def script(talk: Talk) -> None:
        await talk.accept()
        count = 0
        while True:
            count += 1
            try:
                await asyncio.wait_for(talk.send({"type": "websocket.send", "bytes": b"x" * 10_000}), 0.5)
            except asyncio.TimeoutError:
                stalled.put(count)
                break
        await talk.send(text("end"))
        await talk.until_disconnect()

    server = serve_shared(Talk(script))
    with connected(server, initial={h2.INITIAL_WINDOW_SIZE: 0}) as client:
        socket = opened(client)
        count = stalled.get(timeout=20)
        assert count == 14
        client.send(h2.window_update(MIB, stream_of(socket)))
        assert [socket.read() for _ in range(count)] == [b"x" * 10_000] * count
        assert socket.read() == "end"


def test_a_silent_client_is_1011(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    with serve(talk, ws_ping_interval=0.2, ws_ping_timeout=0.2) as server, connected(server) as client:
        socket = opened(client)
        socket.answers_pings = False
        assert socket.read() == Close(1011, "keepalive ping timeout")
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1005}
        assert wait_over(client, socket).is_ended
        client.ping()


def test_a_client_that_answers_pings_is_kept(serve: Serve) -> None:
    with serve(echo, ws_ping_interval=0.1, ws_ping_timeout=1) as server, connected(server) as client:
        socket = opened(client)
        for _ in range(3):
            frame = socket.read_frame()
            assert frame.opcode == PING
            socket.send_frame(raw_websocket.PONG, frame.payload)
        socket.send("hello")
        assert socket.read() == "hello"


def test_a_client_that_gives_no_credit_is_reset(serve: Serve) -> None:
    talk = Talk(accept_and_wait)
    with (
        serve(talk, timeout_write=0.5, ws_ping_interval=0.1, ws_ping_timeout=None) as server,
        connected(server, initial={h2.INITIAL_WINDOW_SIZE: 0}) as client,
    ):
        socket = opened(client)
        assert wait_over(client, socket).reset == h2.CANCEL
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1005}


def test_every_websocket_hears_of_the_shutdown(serve: Serve) -> None:
    with serve(echo) as server, connected(server) as client:
        sockets = [opened(client) for _ in range(20)]
        server.stop()
        assert [socket.read() for socket in sockets] == [Close(1012, "")] * 20
        for socket in sockets:
            assert wait_over(client, socket).is_over
        assert client.wait_goaway().error == h2.NO_ERROR
        client.wait_closed()
        server.join()


def test_an_undecided_handshake_is_answered_at_shutdown(serve: Serve) -> None:
    talk = Talk(Talk.until_disconnect)
    with serve(talk) as server, connected(server) as client:
        stream = ask(client)
        assert talk.next_event() == {"type": "websocket.connect"}
        server.stop()
        assert client.response(stream).status == 500
        assert talk.next_event() == {"type": "websocket.disconnect", "code": 1006}
        assert talk.error() is None


def test_what_was_sent_before_the_end_arrives(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.accept()
        for number in range(100):
            await talk.send(text(f"{number}" * 1000))
        await talk.send(close(4000, "all"))

    server = serve_shared(Talk(script))
    with connected(server) as client:
        socket = opened(client)
        assert [socket.read() for _ in range(100)] == [f"{number}" * 1000 for number in range(100)]
        assert socket.read() == Close(4000, "all")
        with pytest.raises(Closed):
            # The peer owes its close frame; it ends the stream instead.
            client.send(h2.frame(h2.DATA, h2.END_STREAM, stream_of(socket)))
            socket.read_frame()


async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
    """Send without an end over a WebSocket."""
    if scope["type"] != "websocket":
        await send(start(200))
        return await send(body(b""))
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "bytes": b"x" * 32 * 1024})


@needs_proc
@pytest.mark.timeout(60)
def test_a_client_that_takes_nothing_costs_at_most_8_mib(serve_process: ServeProcess) -> None:
    arguments = ("--lifespan", "off", "--no-access-log")
    with serve_process("tests.test_websocket_http2_ends:talkative", *arguments) as server:
        for _ in range(3):
            with Client(server.host, server.port) as client:
                socket = opened(client)
                assert socket.read() == b"x" * 32 * 1024
                assert client.exchange().status == 200
        wait_until_idle(server.pid)
        before = forget_peak(server.pid)
        with Client(server.host, server.port, initial={h2.INITIAL_WINDOW_SIZE: 0}) as client:
            for stream in [ask(client) for _ in range(100)]:
                assert client.head(stream).status == 200
            client.ping()
            wait_until_idle(server.pid)
            assert peak_kib(server.pid) - before <= 8 * 1024

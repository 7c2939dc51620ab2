"""WebSockets over HTTP/2 (RFC 8441): what the application sees, what the client gets, who waits for whom.

Frames and what the ends of streams mean are the business of the Rust dialogues too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from bicorn.errors import ClientDisconnected
from tests import http2_frames as h2
from tests import raw_http2, raw_websocket
from tests.apps import Gate, Receive, Scope, Send, body, start
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.http2_frames import Field
from tests.processes import forget_peak, needs_proc, peak_kib, wait_until_idle
from tests.raw import Closed
from tests.raw_http2 import Client, Response, Tunnel
from tests.raw_websocket import BINARY, CLOSE, CONTINUATION, DEFLATE, PING, TEXT, Close, WebSocket, close_payload
from tests.serving import Served
from tests.tls import Authority
from tests.websocket_apps import Talk, accept_and_wait, close, echo, records, text

pytestmark = pytest.mark.differs_from_uvicorn("no HTTP/2")

VERSION: Field = (b"sec-websocket-version", b"13")
PROTOCOL: Field = (b":protocol", b"websocket")
MIB = 1024 * 1024


@contextmanager
def connected(server: Served, **options: Any) -> Iterator[Client]:
    """Open an HTTP/2 connection, from entry to exit."""
    with Client(server.host, server.port, **options) as client:
        yield client


def ask(client: Client, *fields: Field, path: bytes = b"/", version: Field = VERSION) -> int:
    """Ask for a WebSocket and return the stream."""
    return client.request(b"CONNECT", path, PROTOCOL, version, *fields, end_stream=False)


def opened(client: Client, *fields: Field, path: bytes = b"/") -> WebSocket:
    """Open a WebSocket."""
    stream = ask(client, *fields, path=path)
    head = client.head(stream)
    assert (head.status, head.is_over) == (200, False), head
    return WebSocket(Tunnel(client, stream), extensions=(head.header(b"sec-websocket-extensions") or b"").decode())


def stream_of(socket: WebSocket) -> int:
    assert isinstance(socket.pipe, Tunnel)
    return socket.pipe.stream


def answer(socket: WebSocket) -> Response:
    """What the stream of a WebSocket has brought so far."""
    assert isinstance(socket.pipe, Tunnel)
    return socket.pipe.client.streams[socket.pipe.stream]


def wait_over(client: Client, socket: WebSocket) -> Response:
    """Wait for the end of the stream."""
    return client.response(stream_of(socket))


@pytest.mark.parametrize("message", ["", "é" * 10, b"\xff" * 1000, "x" * 100_000, b"y" * 3_000_000], ids=len)
def test_messages_of_any_size_come_back(message: str | bytes, serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        socket = opened(client)
        socket.send(message)
        assert socket.read() == message
        socket.send_close(4000, "done")
        assert socket.read() == Close(4000, "done")
        assert (wait_over(client, socket).is_ended, answer(socket).reset) == (True, None)


def test_fragments_with_a_ping_between_them_are_one_message(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        socket = opened(client)
        socket.send_frame(TEXT, b"one ", fin=False)
        socket.send_frame(PING, b"?")
        socket.send_frame(CONTINUATION, b"message")
        assert socket.read() == "one message"
        assert socket.pongs == [b"?"]


def test_messages_are_deflated_as_agreed(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        socket = opened(client, (b"sec-websocket-extensions", DEFLATE.encode() + b"; client_max_window_bits"))
        assert socket.extensions == f"{DEFLATE}; server_max_window_bits=12; client_max_window_bits=12"
        for message in ("hello " * 1000, b"hello " * 1000, "", "hello " * 1000):
            socket.send_deflated(message)
            assert socket.read() == message
        socket.send("hello " * 10_000)
        frame = socket.read_frame()
        assert (frame.opcode, frame.is_deflated, len(frame.payload) < 1000) == (TEXT, True, True)


def test_the_scope_is_that_of_http_1_but_for_the_version(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with connected(server) as client:
        opened(client, (b"sec-websocket-protocol", b"a, b"), (b"x-a", b"1"), path=b"/a%20b?c")
        scope = talk.scopes.get(timeout=5)
    facts = {name: scope[name] for name in ("type", "http_version", "scheme", "path", "raw_path", "query_string")}
    assert facts == {
        "type": "websocket",
        "http_version": "2",
        "scheme": "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c",
    }
    assert scope["headers"][0] == (b"host", b"test")
    assert not [name for name, _ in scope["headers"] if name.startswith(b":")]
    assert scope["subprotocols"] == ["a", "b"]
    assert "method" not in scope
    assert scope["extensions"] == {"websocket.http.response": {}}


def test_the_acceptance_carries_subprotocol_and_headers(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        headers = [(b"X-A", b"1"), (b"connection", b"close"), (b"content-length", b"5")]
        await talk.send({"type": "websocket.accept", "subprotocol": "b", "headers": headers})
        await talk.until_disconnect()

    server = serve_shared(Talk(script))
    with connected(server) as client:
        head = client.head(ask(client, (b"sec-websocket-protocol", b"a, b")))
    names = [name for name, _ in head.headers if name not in (b"date", b"server")]
    assert (head.status, names) == (200, [b"x-a", b"sec-websocket-protocol"])
    assert (head.header(b"sec-websocket-protocol"), head.header(b"server")) == (b"b", b"bicorn")


def test_log_lines_are_those_of_http_1(serve: Serve) -> None:
    with serve(echo) as server:
        with connected(server) as client:
            socket = opened(client, path=b"/chat")
            socket.send_close()
            assert socket.read() == Close(1000, "")
        server.logs.wait_for("connection open")
        over_2 = records(server)
        with raw_websocket.connect(server.host, server.port, "/chat"):
            pass
    accepted = [(level, message) for level, message, _ in over_2 if "WebSocket" in message]
    assert accepted == [("INFO", '%s - "WebSocket %s" [accepted]')]
    assert [args[1] for _, message, args in over_2 if "WebSocket" in message] == ["/chat"]


def test_a_close_before_the_acceptance_is_403(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        await talk.send(close())
        await talk.until_disconnect()

    talk = Talk(script)
    server = serve_shared(talk)
    with connected(server) as client:
        response = client.response(ask(client))
        assert (response.status, bytes(response.body), response.is_ended) == (403, b"", True)
        assert response.header(b"connection") is None
        assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1006}
        client.ping()


def test_a_denial_is_an_ordinary_response(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        headers = [(b"content-type", b"text/html"), (b"x-why", b"because")]
        await talk.send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await talk.send({"type": "websocket.http.response.body", "body": b"x" * 50_000, "more_body": True})
        await talk.send({"type": "websocket.http.response.body", "body": b"y" * 50_000})

    server = serve_shared(Talk(script))
    with connected(server) as client:
        response = client.response(ask(client))
        assert (response.status, len(response.body), response.header(b"x-why")) == (401, 100_000, b"because")
        client.ping()


def test_an_application_that_returns_undecided_is_500(serve_shared: ServeShared) -> None:
    server = serve_shared(Talk(Talk.next))
    with connected(server) as client:
        assert client.response(ask(client)).status == 500


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


def test_many_websockets_and_requests_share_a_connection(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await echo(scope, receive, send)
        await send(start(200))
        await send(body(b"plain"))

    server = serve_shared(app)
    with connected(server) as client:
        sockets = [opened(client) for _ in range(30)]
        for round_number in range(3):
            for number, socket in enumerate(sockets):
                socket.send(f"{round_number} {number}")
            assert client.exchange().body == b"plain"
            for number, socket in reversed(list(enumerate(sockets))):
                assert socket.read() == f"{round_number} {number}"
        sockets.pop().send_close()
        sockets[0].send("still here")
        assert sockets[0].read() == "still here"


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


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ([], 400, b"missing Sec-WebSocket-Version"),
        ([(b"sec-websocket-version", b"8")], 426, b"unknown WebSocket version"),
        ([VERSION, (b"sec-websocket-protocol", b"a b")], 400, b"malformed Sec-WebSocket-Protocol"),
        ([VERSION, (b"sec-websocket-extensions", b"; ;")], 400, b"malformed Sec-WebSocket-Extensions"),
    ],
)
def test_a_wrong_handshake_is_refused(
    fields: list[Field], status: int, reason: bytes, serve_shared: ServeShared
) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        response = client.response(client.request(b"CONNECT", b"/", PROTOCOL, *fields, end_stream=False))
        assert (response.status, bytes(response.body)) == (status, reason)
        assert response.header(b"sec-websocket-version") == (b"13" if status == 426 else None)
        assert response.header(b"upgrade") is None
        # The connection has nothing to do with it.
        socket = opened(client)
        socket.send("hello")
        assert socket.read() == "hello"


@pytest.mark.parametrize("name", [b":scheme", b":path"])
def test_a_connect_without_scheme_or_path_is_an_error_of_the_stream(name: bytes, serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    pseudo = [(b":method", b"CONNECT"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/"), PROTOCOL]
    block = h2.header_block([*(field for field in pseudo if field[0] != name), VERSION])
    with connected(server) as client:
        stream = client.open_stream()
        client.send(h2.headers(stream, block, end_stream=False))
        assert client.response(stream).reset == h2.PROTOCOL_ERROR
        client.ping()


def test_other_protocols_are_501(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        stream = client.request(b"CONNECT", b"/", (b":protocol", b"connect-udp"), end_stream=False)
        assert client.response(stream).status == 501
        stream = client.open_stream()
        block = h2.header_block([(b":method", b"CONNECT"), (b":authority", b"test:80")])
        client.send(h2.headers(stream, block, end_stream=False))
        assert client.response(stream).status == 501
        client.ping()


def test_it_is_announced(serve_shared: ServeShared) -> None:
    server = serve_shared(echo)
    with connected(server) as client:
        assert client.wait_settings()[h2.ENABLE_CONNECT_PROTOCOL] == 1


def test_without_websockets_nothing_is_announced_and_nothing_accepted(serve: Serve) -> None:
    with serve(echo, ws="none") as server, connected(server) as client:
        assert h2.ENABLE_CONNECT_PROTOCOL not in client.wait_settings()
        assert client.response(ask(client)).reset == h2.PROTOCOL_ERROR
        client.ping()


def test_over_tls(serve: Serve, tmp_path: Path) -> None:
    talk = Talk(accept_and_wait)
    pair = Authority(tmp_path).issue("localhost", "127.0.0.1")
    with (
        serve(talk, **pair.options) as server,
        connected(server, tls=raw_http2.client_context("h2")) as client,
    ):
        socket = opened(client)
        scope = talk.scopes.get(timeout=5)
        assert (scope["http_version"], scope["scheme"]) == ("2", "wss")
        assert scope["extensions"].keys() == {"websocket.http.response", "tls"}
        socket.send_close(4000, "done")
        assert socket.read() == Close(4000, "done")


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
    with serve_process("tests.test_websocket_http2:talkative", *arguments) as server:
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

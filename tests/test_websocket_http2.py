"""WebSockets over HTTP/2 (RFC 8441): what the application sees, what the client gets, what is refused.

Frames are the business of the Rust dialogues too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import http2_frames as h2
from tests import raw_http2, raw_websocket
from tests.apps import Receive, Scope, Send, body, start
from tests.conftest import Serve, ServeShared
from tests.http2_frames import Field
from tests.raw_websocket import CONTINUATION, DEFLATE, PING, TEXT, Close
from tests.tls import Authority
from tests.websocket_apps import Talk, accept_and_wait, close, echo, records
from tests.websocket_streams import PROTOCOL, VERSION, answer, ask, connected, opened, wait_over

pytestmark = pytest.mark.differs_from_uvicorn("no HTTP/2")


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

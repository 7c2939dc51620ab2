"""From a WebSocket handshake to its acceptance or denial: the scope, the bytes, the log records."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from tests import raw, raw_websocket
from tests.apps import Event
from tests.conftest import Serve, ServeShared
from tests.raw_websocket import Refused
from tests.websocket_apps import Talk, accept_and_wait, close, records

SCOPE_KEYS = [
    "type",
    "asgi",
    "http_version",
    "scheme",
    "server",
    "client",
    "root_path",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "subprotocols",
    "state",
    "extensions",
]


def test_whole_scope(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    options: dict[str, Any] = {"protocols": "chat, superchat", "host": "example.com", "key": "x" * 22 + "=="}
    with server.connect() as client:
        client.send(raw_websocket.handshake("/a%20b/%FF?c=d%20e", ("X-One", "1"), **options))
        assert client.response_head().status == 101
        scope = talk.scopes.get(timeout=5)
        assert type(scope) is dict
        assert list(scope) == SCOPE_KEYS
        assert scope == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": ("127.0.0.1", server.port),
            "client": client.address,
            "root_path": "",
            "path": "/a b/\ufffd",
            "raw_path": b"/a%20b/%FF",
            "query_string": b"c=d%20e",
            "headers": [
                (b"host", b"example.com"),
                (b"connection", b"Upgrade"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-key", b"x" * 22 + b"=="),
                (b"sec-websocket-version", b"13"),
                (b"sec-websocket-protocol", b"chat, superchat"),
                (b"x-one", b"1"),
            ],
            "subprotocols": ["chat", "superchat"],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }
    talk.error()


def test_values_of_a_scope_are_not_shared(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    for _ in range(2):
        with raw_websocket.connect(server.host, server.port):
            scope = talk.scopes.get(timeout=5)
            assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
            assert scope["extensions"] == {"websocket.http.response": {}}
            scope["asgi"].clear()
            scope["extensions"]["websocket.http.response"]["x"] = 1
            scope["extensions"].clear()
            scope["headers"].clear()
        talk.error()


def test_root_path_and_state(serve: Serve) -> None:
    talk = Talk(accept_and_wait)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["key"] = "value"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await talk(scope, receive, send)

    with serve(app, root_path="/api", lifespan="on") as server:
        with raw_websocket.connect(server.host, server.port, "/x"):
            scope = talk.scopes.get(timeout=5)
            assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/x", b"/api/x")
            assert scope["state"] == {"key": "value"}
        talk.error()


@pytest.mark.parametrize(("proto", "scheme"), [("http", "ws"), ("https", "wss"), ("ws", "ws"), ("wss", "wss")])
def test_a_trusted_proxy_names_scheme_and_client(proto: str, scheme: str, serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    headers = [("X-Forwarded-Proto", proto), ("X-Forwarded-For", "1.2.3.4")]
    with raw_websocket.connect(server.host, server.port, "/", *headers):
        scope = talk.scopes.get(timeout=5)
        assert (scope["scheme"], scope["client"]) == (scheme, ("1.2.3.4", 0))
    assert records(server)[0][2] == ("1.2.3.4:0", "/")
    talk.error()


async def accept_with_everything(talk: Talk) -> None:
    await talk.next()
    headers = [(b"X-One", b"1"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    await talk.send({"type": "websocket.accept", "subprotocol": "chat", "headers": headers})
    await talk.until_disconnect()


def test_bytes_of_the_acceptance(serve: Serve) -> None:
    with serve(Talk(accept_with_everything), headers=[("X-Default", "d")]) as server, server.connect() as client:
        client.send(raw_websocket.handshake(protocols="chat", extensions="permessage-deflate"))
        head = client.until(b"\r\n\r\n")
    head, dates = re.subn(rb"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", b"date: now", head)
    assert dates == 1, head
    assert head.replace(b"uvicorn", b"bicorn").split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12",
        b"date: now",
        b"server: bicorn",
        b"x-default: d",
        b"x-one: 1",
        b"set-cookie: a=b",
        b"set-cookie: c=d",
        b"Sec-WebSocket-Protocol: chat",
    ]


def test_records_of_an_acceptance(serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    with server.connect() as client:
        client.send(raw_websocket.handshake("/a%20b?c=%20d"))
        client.response_head()
        address = "{}:{}".format(*client.address)
    talk.error()
    assert records(server) == [
        ("INFO", '%s - "WebSocket %s" [accepted]', (address, "/a%20b?c=%20d")),
        ("INFO", "connection open", ()),
    ]


def refused(server: Any, path: str = "/", **options: Any) -> tuple[raw.Response, str]:
    """The response that a handshake is answered with, and the client's address as records show it."""
    with server.connect() as client:
        client.send(raw_websocket.handshake(path, **options))
        response = client.response()
        assert response.closes
        address = "{}:{}".format(*client.address)
        assert client.read_until_closed() == b""
    return response, address


async def close_before_accept(talk: Talk) -> None:
    await talk.next()
    await talk.send(close(4000, "nobody hears this"))
    await talk.next()


def test_close_before_accept_is_403(serve_shared: ServeShared) -> None:
    talk = Talk(close_before_accept)
    server = serve_shared(talk)
    response, address = refused(server, "/x?y")
    assert (response.status, response.reason, response.body) == (403, b"Forbidden", b"")
    assert response.header(b"content-length") == b"0"
    assert response.header(b"content-type") == b"text/plain; charset=utf-8"
    assert talk.events_until_disconnect() == [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1006},
    ]
    assert talk.error() is None
    assert records(server) == [
        ("INFO", '%s - "WebSocket %s" 403', (address, "/x?y")),
        ("INFO", "connection rejected (%d %s)", (403, "Forbidden")),
    ]


def test_return_before_accept_is_500(serve_shared: ServeShared) -> None:
    talk = Talk(Talk.next)
    server = serve_shared(talk)
    response, _ = refused(server)
    assert (response.status, response.body) == (500, b"Internal Server Error")
    assert response.header(b"content-type") == b"text/plain; charset=utf-8"
    server.logs.wait_for("connection rejected")
    assert records(server) == [
        ("ERROR", "ASGI callable returned without completing handshake.", ()),
        ("INFO", "connection rejected (%d %s)", (500, "Internal Server Error")),
    ]


async def raise_before_accept(talk: Talk) -> None:
    raise ZeroDivisionError("on purpose")


def test_raise_before_accept_is_500(serve_shared: ServeShared) -> None:
    server = serve_shared(Talk(raise_before_accept))
    response, _ = refused(server)
    assert (response.status, response.body) == (500, b"Internal Server Error")
    server.logs.wait_for("connection rejected")
    assert records(server) == [
        ("ERROR", "Exception in ASGI application\n", ()),
        ("INFO", "connection rejected (%d %s)", (500, "Internal Server Error")),
    ]
    record = server.logs.of("uvicorn.error")[0]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(
    "event", [{"type": "websocket.send", "text": "x"}, {"type": "http.response.start", "status": 200}, {"type": "x"}]
)
def test_anything_else_before_accept_raises(event: Event, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        await talk.send(event)

    talk = Talk(script)
    response, _ = refused(serve_shared(talk))
    assert response.status == 500
    error = talk.error()
    assert type(error) is RuntimeError
    assert str(error) == (
        "Expected ASGI message 'websocket.accept', 'websocket.close' or 'websocket.http.response.start' "
        f"but got '{event['type']}'."
    )


def response_start(status: int, *headers: tuple[bytes, bytes]) -> Event:
    return {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}


def response_body(data: bytes, *, more: bool = False) -> Event:
    return {"type": "websocket.http.response.body", "body": data, "more_body": more}


async def deny_in_pieces(talk: Talk) -> None:
    await talk.next()
    await talk.send(response_start(401, (b"X-One", b"1"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")))
    await talk.send(response_body(b"go ", more=True))
    await talk.send(response_body(b"", more=True))
    await talk.send(response_body(b"away"))
    await talk.next()


def test_denial_in_pieces_has_a_length(serve_shared: ServeShared) -> None:
    talk = Talk(deny_in_pieces)
    server = serve_shared(talk)
    response, address = refused(server, "/x")
    assert (response.status, response.reason, response.body) == (401, b"Unauthorized", b"go away")
    assert response.framing == "length"
    assert (response.all(b"x-one"), response.all(b"set-cookie")) == ([b"1"], [b"a=b", b"c=d"])
    assert response.header(b"content-type") == b"text/plain; charset=utf-8"
    assert talk.events_until_disconnect()[-1] == {"type": "websocket.disconnect", "code": 1006}
    assert records(server)[:2] == [
        ("INFO", '%s - "WebSocket %s" %d', (address, "/x", 401)),
        ("INFO", "connection rejected (%d %s)", (401, "Unauthorized")),
    ]


def test_denial_keeps_the_apps_content_type_and_length(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        await talk.send(response_start(429, (b"content-type", b"text/html"), (b"content-length", b"2")))
        await talk.send(response_body(b"hi"))
        await talk.next()

    response, _ = refused(serve_shared(Talk(script)))
    assert (response.status, response.body) == (429, b"hi")
    assert (response.all(b"content-type"), response.all(b"content-length")) == ([b"text/html"], [b"2"])


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([response_start(600)], "Invalid HTTP status code '600' in response."),
        ([response_start(0)], "Invalid HTTP status code '0' in response."),
        (
            [response_start(400), {"type": "websocket.accept"}],
            "Expected ASGI message 'websocket.http.response.body' but got 'websocket.accept'.",
        ),
        (
            [response_start(400), response_start(400)],
            "Expected ASGI message 'websocket.http.response.body' but got 'websocket.http.response.start'.",
        ),
        (
            [{"type": "websocket.accept"}, response_start(400)],
            "Expected ASGI message 'websocket.send' or 'websocket.close', but got 'websocket.http.response.start'.",
        ),
        (
            [{"type": "websocket.close"}, {"type": "websocket.accept"}],
            "Unexpected ASGI message 'websocket.accept', after sending 'websocket.close'.",
        ),
    ],
)
def test_orders_that_asgi_forbids(events: list[Event], text: str, serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.next()
        for event in events:
            await talk.send(event)

    talk = Talk(script)
    server = serve_shared(talk)
    with server.connect() as client:
        client.send(raw_websocket.handshake())
        client.wait_closed()
    error = talk.error()
    assert (type(error), str(error)) == (RuntimeError, text)


def test_a_client_that_leaves_before_the_acceptance(serve_shared: ServeShared) -> None:
    async def script(talk: Talk) -> None:
        await talk.until_disconnect()
        await talk.send({"type": "websocket.accept"})

    talk = Talk(script)
    server = serve_shared(talk)
    with server.connect() as client:
        client.send(raw_websocket.handshake())
        assert talk.next_event() == {"type": "websocket.connect"}
    assert talk.next_event() == {"type": "websocket.disconnect", "code": 1006}
    error = talk.error()
    assert isinstance(error, OSError)
    assert (type(error).__name__, error.args) == ("ClientDisconnected", ())
    assert [record for record in server.logs.records if record.levelno > logging.INFO] == []


def test_concurrency_limit_lets_websockets_in(serve: Serve) -> None:
    app = Talk(accept_and_wait)
    with serve(app, limit_concurrency=1) as server, raw_websocket.connect(server.host, server.port) as socket:
        socket.send_close()
        socket.read()


def test_without_websockets_a_handshake_is_a_request(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})

    with serve(app, ws="none") as server:
        with pytest.raises(Refused) as refusal, raw_websocket.connect(server.host, server.port):
            pass
        assert refusal.value.response.status == 200
        server.logs.wait_for("Unsupported upgrade request.")
        assert [args for level, _, args in records(server) if level == "WARNING"] == [(), ()]


@pytest.mark.parametrize("options", [{"key": "short"}, {"key": ""}])
def test_a_bad_key_is_400(options: dict[str, str], serve_shared: ServeShared) -> None:
    talk = Talk(accept_and_wait)
    server = serve_shared(talk)
    response, _ = refused(server, **options)
    assert (response.status, response.header(b"content-type")) == (400, b"text/plain; charset=utf-8")
    assert b"Sec-WebSocket-Key" in response.body
    server.logs.wait_for("connection rejected")
    assert records(server) == [("INFO", "connection rejected (%d %s)", (400, "Bad Request"))]
    assert talk.scopes.empty()

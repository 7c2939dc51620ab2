"""Whole responses byte for byte, but for the date and the server's name; and the default headers."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import pytest

from tests import raw
from tests.apps import App, Receive, Scope, Send, Sending, body, hello, length, responder, start
from tests.conftest import Serve, ServeShared

DEFAULT = b"date: DATE\r\nserver: SERVER\r\n"


def normalized(data: bytes) -> bytes:
    data = re.sub(rb"\r\ndate: \w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT\r\n", rb"\r\ndate: DATE\r\n", data)
    return re.sub(rb"\r\nserver: (bicorn|uvicorn)\r\n", rb"\r\nserver: SERVER\r\n", data)


CLOSE = [("Connection", "close")]
JSON = b'{"hello":"world"}'
INTERNAL_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\n%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n"
    b"connection: close\r\n\r\nInternal Server Error" % DEFAULT
)

RESPONSES: dict[str, tuple[App, bytes, bytes]] = {
    "json": (
        responder(JSON, headers=[length(JSON), (b"content-type", b"application/json")]),
        raw.request(headers=CLOSE),
        b"HTTP/1.1 200 OK\r\n%bcontent-length: 17\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n%b"
        % (DEFAULT, JSON),
    ),
    "stream": (
        Sending(start(), body(b"one", more=True), body(b"x" * 26, more=True), body()),
        raw.request(headers=CLOSE),
        b"HTTP/1.1 200 OK\r\n%bconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n1a\r\n%b\r\n0\r\n\r\n"
        % (DEFAULT, b"x" * 26),
    ),
    "head": (
        responder(JSON),
        raw.request("HEAD", headers=CLOSE),
        b"HTTP/1.1 200 OK\r\n%bcontent-length: 17\r\nconnection: close\r\n\r\n" % DEFAULT,
    ),
    "no content": (
        responder(b"", status=204, headers=[]),
        raw.request("DELETE", headers=CLOSE),
        b"HTTP/1.1 204 No Content\r\n%bconnection: close\r\n\r\n" % DEFAULT,
    ),
    "close of the app": (
        responder(b"", status=302, headers=[(b"Location", b"/x"), length(b""), (b"Connection", b"close")]),
        raw.request(),
        b"HTTP/1.1 302 Found\r\n%blocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % DEFAULT,
    ),
    "status without a phrase": (
        responder(b"", status=599),
        raw.request(headers=CLOSE),
        b"HTTP/1.1 599 \r\n%bcontent-length: 0\r\nconnection: close\r\n\r\n" % DEFAULT,
    ),
    "value of odd bytes": (
        responder(b"", headers=[length(b""), (b"x-odd", b" \t\xe9\xff "), (b"x-empty", b"")]),
        raw.request(headers=CLOSE),
        b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\nx-odd:  \t\xe9\xff \r\nx-empty: \r\nconnection: close\r\n\r\n"
        % DEFAULT,
    ),
    "500": (Sending(), raw.request(), INTERNAL_ERROR),
    "400": (
        hello,
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: 30\r\n"
        b"connection: close\r\n\r\nInvalid HTTP request received." % DEFAULT,
    ),
}


@pytest.mark.parametrize(("app", "request_bytes", "expected"), RESPONSES.values(), ids=RESPONSES)
def test_response_bytes(app: App, request_bytes: bytes, expected: bytes, serve_shared: ServeShared) -> None:
    with serve_shared(app).connect() as client:
        client.send(request_bytes)
        assert normalized(client.read_until_closed()) == expected


def test_date_is_now(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        value = client.exchange(raw.request()).header(b"date")
    assert value is not None
    # uvicorn refreshes it about once a second.
    assert abs(parsedate_to_datetime(value.decode()).timestamp() - time.time()) <= 2


OPTIONS: list[tuple[dict[str, object], list[bytes]]] = [
    ({}, [b"date", b"server", b"content-length"]),
    ({"date_header": False}, [b"server", b"content-length"]),
    ({"server_header": False}, [b"date", b"content-length"]),
    ({"server_header": False, "date_header": False}, [b"content-length"]),
    ({"headers": [("X-One", "1"), ("x-two", "2")]}, [b"date", b"server", b"x-one", b"x-two", b"content-length"]),
    ({"headers": [("Server", "mine")]}, [b"date", b"server", b"content-length"]),
]


@pytest.mark.parametrize(("options", "names"), OPTIONS)
def test_default_headers_are_options(options: dict[str, object], names: list[bytes], serve: Serve) -> None:
    with serve(hello, **options) as server, server.connect() as client:
        response = client.exchange(raw.request())
        assert [name for name, _ in response.headers] == names
        if options == {"headers": [("Server", "mine")]}:
            assert response.header(b"server") == b"mine"


def test_default_headers_are_on_a_400_too(serve: Serve) -> None:
    with serve(hello, headers=[("X-One", "1")]) as server, server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        names = [name for name, _ in client.response().headers]
    assert names == [b"date", b"server", b"x-one", b"content-type", b"content-length", b"connection"]


def test_server_header_names_the_server(server_name: str, serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        assert client.exchange(raw.request()).header(b"server") == server_name.encode()


def test_events_are_not_changed_by_the_server(serve_shared: ServeShared) -> None:
    events = [start(200, [length(b"hello")]), body(b"hello")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    with serve_shared(app).connect() as client:
        for _ in range(2):
            assert client.exchange(raw.request()).body == b"hello"
    assert events == [start(200, [length(b"hello")]), body(b"hello")]

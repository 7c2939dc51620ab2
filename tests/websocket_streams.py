"""WebSockets over HTTP/2 (RFC 8441), from the client's side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.http2_frames import Field
from tests.raw_http2 import Client, Response, Tunnel
from tests.raw_websocket import WebSocket
from tests.serving import Served

VERSION: Field = (b"sec-websocket-version", b"13")
PROTOCOL: Field = (b":protocol", b"websocket")


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
    """The stream of a WebSocket."""
    assert isinstance(socket.pipe, Tunnel)
    return socket.pipe.stream


def answer(socket: WebSocket) -> Response:
    """What the stream of a WebSocket has brought so far."""
    assert isinstance(socket.pipe, Tunnel)
    return socket.pipe.client.streams[socket.pipe.stream]


def wait_over(client: Client, socket: WebSocket) -> Response:
    """Wait for the end of the stream."""
    return client.response(stream_of(socket))

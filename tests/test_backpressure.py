"""Back-pressure in bytes: an app cannot run ahead of its reader, nor a client ahead of the app.

Silence is under test here: "nothing moves for that long" is how a blocked sender is recognised.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import socket

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, body, echo, hello, length, start
from tests.conftest import ServeShared

CHUNK = b"x" * 16 * 1024
# Kernel buffers of both ends on loopback take most of it: up to 4 MiB of send buffer and what the client's window lets.
KERNEL_BYTES = 12 * 1024 * 1024
STALL_SECONDS = 0.5


class Streamer:
    """An app that streams `total` bytes and counts what send() has taken."""

    def __init__(self, total: int, chunk: bytes = CHUNK) -> None:
        self.total = total
        self.chunk = chunk
        self.sent: queue.SimpleQueue[int] = queue.SimpleQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", str(self.total).encode())]))
        for at in range(0, self.total, len(self.chunk)):
            await send(body(self.chunk[: self.total - at], more=True))
            self.sent.put(at + len(self.chunk))
        await send(body())
        self.sent.put(-1)

    def sent_when_stalled(self) -> int:
        """Wait until send() takes no more and return how many bytes it took."""
        sent = 0
        with contextlib.suppress(queue.Empty):
            while (latest := self.sent.get(timeout=STALL_SECONDS)) >= 0:
                sent = latest
            sent = self.total
        return sent


@pytest.mark.parity
def test_send_waits_for_a_client_that_does_not_read(serve_shared: ServeShared) -> None:
    total = 64 * 1024 * 1024
    app = Streamer(total)
    with serve_shared(app).connect(receive_buffer=4096) as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        assert 0 < app.sent_when_stalled() <= KERNEL_BYTES


@pytest.mark.parity
def test_stalled_response_goes_on_when_the_client_reads(serve_shared: ServeShared) -> None:
    total = 32 * 1024 * 1024 + 5
    app = Streamer(total)
    with serve_shared(app).connect(receive_buffer=4096) as client:
        client.send(raw.request())
        assert 0 < app.sent_when_stalled() < total
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        response = client.response()
        assert len(response.body) == total
        assert response.body.count(b"x") == total


@pytest.mark.parity
def test_one_stalled_client_does_not_stop_the_others(serve_shared: ServeShared) -> None:
    stalled = Streamer(64 * 1024 * 1024)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (stalled if scope["path"] == "/stall" else hello)(scope, receive, send)

    server = serve_shared(app)
    with server.connect(receive_buffer=4096) as slow, server.connect() as quick:
        slow.send(raw.request(target="/stall"))
        stalled.sent_when_stalled()
        for _ in range(20):
            assert quick.exchange(raw.request()).body == b"hello"


def send_until_stalled(client: raw.Client, limit: int) -> int:
    """Send until the kernel takes no more for a while, or `limit` bytes are sent; return how many went."""
    sent = 0
    client.socket.settimeout(STALL_SECONDS)
    with contextlib.suppress(TimeoutError):
        while sent < limit:
            sent += client.socket.send(CHUNK)
    client.socket.settimeout(raw.DEFAULT_TIMEOUT_SECONDS)
    return sent


@pytest.mark.parity
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_upload_stalls_when_the_app_does_not_read(is_chunked: bool, serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await hello(scope, receive, send)

    limit = 64 * 1024 * 1024
    headers = [("Transfer-Encoding", "chunked")] if is_chunked else [("Content-Length", str(limit))]
    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=headers))
        if is_chunked:
            client.send(b"%x\r\n" % limit)
        assert 0 < send_until_stalled(client, limit) <= KERNEL_BYTES
        gate.open()


@pytest.mark.parity
def test_stalled_upload_goes_on_when_the_app_reads(serve_shared: ServeShared) -> None:
    gate = Gate()
    digests: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        digest = hashlib.sha256()
        more = True
        while more:
            event = await receive()
            digest.update(event["body"])
            more = event["more_body"]
        digests.put(digest.hexdigest())
        await hello(scope, receive, send)

    total = 16 * 1024 * 1024
    data = hashlib.shake_128(b"upload").digest(total)
    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", str(total))]))
        client.socket.settimeout(STALL_SECONDS)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < total:
                sent += client.socket.send(data[sent : sent + len(CHUNK)])
        gate.open()
        client.socket.settimeout(raw.DEFAULT_TIMEOUT_SECONDS)
        client.send(data[sent:])
        assert client.response().body == b"hello"
    assert digests.get(timeout=5) == hashlib.sha256(data).hexdigest()


@pytest.mark.parity
def test_pipelined_requests_behind_a_slow_one_are_not_read_without_end(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        request = raw.request(target="/" + "x" * 1000)
        client.socket.settimeout(STALL_SECONDS)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += client.socket.send(request * 16)
        assert 0 < sent <= KERNEL_BYTES
        client.reset()
    gate.open()


@pytest.mark.parity
def test_large_echo_while_both_sides_stream(serve_shared: ServeShared) -> None:
    data = hashlib.shake_128(b"echo").digest(4 * 1024 * 1024)
    with serve_shared(echo).connect() as client:
        assert client.exchange(raw.request("POST", body=data)).body == data


@pytest.mark.parity
def test_one_huge_body_event_arrives_whole(serve_shared: ServeShared) -> None:
    data = hashlib.shake_128(b"one").digest(32 * 1024 * 1024)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve_shared(app).connect(receive_buffer=64 * 1024) as client:
        assert client.exchange(raw.request()).body == data

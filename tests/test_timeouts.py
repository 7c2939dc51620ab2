"""Deadlines: time itself is under test. Each option is set to a fraction of a second, and the end must come soon after.

uvicorn has none but keep-alive; 0 turns each off.
"""

from __future__ import annotations

import time
from queue import SimpleQueue

import pytest

from tests import raw
from tests.apps import Event, Gate, Receive, Scope, Send, body, echo, hello, length, read_body, start
from tests.conftest import Serve, ServeProcess

DEADLINE = 0.2
# The goal is "within 1 s of the setting"; a deadline that fires early is as wrong.
LATEST = DEADLINE + 1
EARLIEST = DEADLINE * 0.9

pytestmark = pytest.mark.differs_from_uvicorn("no such option")


def closed_after(client: raw.Client, since: float) -> bytes:
    """Wait for the end, check that it came in time, and return what came before it."""
    data = client.wait_closed(LATEST + 1)
    elapsed = time.monotonic() - since
    assert EARLIEST <= elapsed <= LATEST
    return data


def test_connection_that_sends_nothing_is_closed(serve: Serve) -> None:
    with serve(hello, timeout_request_head=DEADLINE) as server:
        since = time.monotonic()
        with server.connect() as client:
            data = closed_after(client, since)
    # No request has begun, so no answer is owed; 408 is allowed (RFC 9110 §15.5.9).
    assert data == b"" or data.startswith(b"HTTP/1.1 408 ")


def test_partial_head_is_408(serve: Serve) -> None:
    with serve(hello, timeout_request_head=DEADLINE) as server:
        since = time.monotonic()
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: te")
            data = closed_after(client, since)
    assert data.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in data.lower()


def test_trickled_head_is_408_although_bytes_keep_coming(serve: Serve) -> None:
    with serve(hello, timeout_request_head=DEADLINE) as server:
        since = time.monotonic()
        with server.connect(timeout=DEADLINE / 10) as client:
            client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            data = b""
            # Each turn waits for an answer for 20 ms, then sends one byte more.
            while not data and time.monotonic() - since < LATEST:
                client.send(b"x")
                try:
                    data = client.socket.recv(4096)
                except TimeoutError:
                    continue
            assert time.monotonic() - since >= EARLIEST
    assert data.startswith(b"HTTP/1.1 408 ")


def test_head_deadline_applies_to_each_request(serve: Serve) -> None:
    with serve(hello, timeout_request_head=DEADLINE) as server, server.connect() as client:
        client.exchange(raw.request())
        since = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: te")
        assert closed_after(client, since).startswith(b"HTTP/1.1 408 ")


def test_slow_app_is_not_a_slow_head(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await hello(scope, receive, send)

    with serve(app, timeout_request_head=DEADLINE, timeout_request_body=DEADLINE) as server, server.connect() as client:
        client.send(raw.request())
        assert client.silent_for(3 * DEADLINE)
        gate.open()
        assert client.response().body == b"hello"


def test_stalled_body_is_408_and_the_app_sees_a_disconnect(serve: Serve) -> None:
    events: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event: Event = {"type": ""}
        while event["type"] != "http.disconnect":
            event = await receive()
            events.put(event)

    with serve(app, timeout_request_body=DEADLINE) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"part")
        since = time.monotonic()
        data = closed_after(client, since)
    assert data.startswith(b"HTTP/1.1 408 ")
    assert events.get(timeout=5) == {"type": "http.request", "body": b"part", "more_body": True}
    assert events.get(timeout=5) == {"type": "http.disconnect"}


def test_body_that_keeps_coming_has_no_total_deadline(serve: Serve) -> None:
    with serve(echo, timeout_request_body=DEADLINE) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "8")]))
        for byte in b"trickled":
            assert client.silent_for(DEADLINE / 3)
            client.send(bytes([byte]))
        assert client.response().body == b"trickled"


def test_body_the_app_does_not_take_is_not_the_peers_fault(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        data = await read_body(receive)
        size = str(len(data)).encode()
        await send(start(200, [length(size)]))
        await send(body(size))

    total = 4 * 1024 * 1024
    with serve(app, timeout_request_body=DEADLINE) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", str(total))]))
        client.send(b"x" * 64 * 1024)
        assert client.silent_for(3 * DEADLINE)
        gate.open()
        client.send(b"x" * (total - 64 * 1024))
        assert client.response().body == str(total).encode()


def test_unread_body_that_stalls_after_the_answer_closes(serve: Serve) -> None:
    with serve(hello, timeout_request_body=DEADLINE) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"part")
        since = time.monotonic()
        assert client.response().body == b"hello"
        client.wait_closed(LATEST)
        assert time.monotonic() - since <= LATEST


def test_stalled_reader_is_cut_off_and_the_app_goes_on(serve: Serve) -> None:
    outcome: SimpleQueue[float] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(1000):
            await send(body(b"x" * 64 * 1024, more=True))
        await send(body())
        outcome.put(time.monotonic())

    with serve(app, timeout_write=DEADLINE) as server, server.connect(receive_buffer=4096) as client:
        since = time.monotonic()
        client.send(raw.request())
        client.response_head()
        assert EARLIEST <= outcome.get(timeout=5) - since <= LATEST
        # Whatever the kernel still holds may come, the end of the response must not.
        try:
            rest = client.read_until_closed()
        except ConnectionResetError:
            rest = b""
        assert not rest.endswith(b"0\r\n\r\n")


def test_slow_reader_that_makes_progress_is_served(serve: Serve) -> None:
    data = b"x" * 8 * 1024 * 1024

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve(app, timeout_write=0.5) as server, server.connect(receive_buffer=64 * 1024) as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        since = time.monotonic()
        left = len(data)
        while left:
            # Time is under test: pauses stretch the reading over more than twice the deadline.
            if time.monotonic() - since < 1.2:
                assert client.socket.recv(1)
                left -= 1
                time.sleep(0.05)
                piece = min(left, 64 * 1024)
            else:
                piece = left
            client.exactly(piece)
            left -= piece


@pytest.mark.parity
def test_idle_keep_alive_connection_is_closed_without_an_answer(serve: Serve) -> None:
    with serve(hello, timeout_keep_alive=DEADLINE) as server, server.connect() as client:
        client.exchange(raw.request())
        since = time.monotonic()
        assert closed_after(client, since) == b""


def test_zero_turns_the_head_deadline_off(serve: Serve) -> None:
    with serve(hello, timeout_request_head=0, timeout_keep_alive=DEADLINE) as server, server.connect() as client:
        assert client.silent_for(2 * DEADLINE)
        client.send(b"GET / HTTP/1.1\r\n")
        assert client.silent_for(2 * DEADLINE)
        client.send(b"Host: test\r\n\r\n")
        assert client.response().body == b"hello"


def test_zero_keeps_idle_connections(serve: Serve) -> None:
    with serve(hello, timeout_keep_alive=0, timeout_request_head=DEADLINE) as server, server.connect() as client:
        client.exchange(raw.request())
        assert client.silent_for(3 * DEADLINE)
        assert client.exchange(raw.request()).body == b"hello"


def test_deadlines_are_options_of_the_command_line(serve_process: ServeProcess) -> None:
    options = [f"--timeout-{name}={DEADLINE}" for name in ("request-head", "request-body", "write", "keep-alive")]
    with serve_process("tests.apps:echo", *options) as server:
        since = time.monotonic()
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: te")
            assert closed_after(client, since).startswith(b"HTTP/1.1 408 ")
        since = time.monotonic()
        with server.connect() as client:
            client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"part")
            assert closed_after(client, since).startswith(b"HTTP/1.1 408 ")
        with server.connect() as client:
            client.exchange(raw.request())
            assert closed_after(client, time.monotonic()) == b""


def test_zero_turns_the_body_deadline_off(serve: Serve) -> None:
    options = {"timeout_request_head": DEADLINE, "timeout_request_body": 0}
    with serve(echo, **options) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "5")]) + b"he")
        assert client.silent_for(3 * DEADLINE)
        client.send(b"llo")
        assert client.response().body == b"hello"

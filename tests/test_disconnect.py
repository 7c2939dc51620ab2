"""A peer that leaves: when the app hears of it, and what becomes of what it still sends.

Time itself is under test where a latency is asserted: the clock is this process's own, shared by app and client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from tests import raw
from tests.apps import Event, Gate, Receive, Scope, Send, body, hello, length, read_body, start, turn_loop
from tests.conftest import ServeShared

DISCONNECT = {"type": "http.disconnect"}
LATENCY_SECONDS = 0.05
# The best of three, so that another process on the machine does not decide.
ATTEMPTS = 3

Leave = Callable[[raw.Client], None]
LEAVES = {"FIN": raw.Client.close, "RST": raw.Client.reset, "half-close": raw.Client.half_close}


class WaitingForDisconnect:
    """An app that reads the body, then tells when it waits for the disconnect and when it got it."""

    def __init__(self, *before: Event) -> None:
        self.before = before
        self.waiting: SimpleQueue[None] = SimpleQueue()
        self.received: SimpleQueue[tuple[float, Event]] = SimpleQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        for event in self.before:
            await send(event)
        self.waiting.put(None)
        event = await receive()
        self.received.put((time.monotonic(), event))


@pytest.mark.parity
@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("before", [[], [start(), body(b"some", more=True)]], ids=["before start", "while streaming"])
def test_disconnect_reaches_a_waiting_receive_within_50_ms(
    leave: Leave, before: list[Event], serve_shared: ServeShared
) -> None:
    latencies = []
    for _ in range(ATTEMPTS):
        app = WaitingForDisconnect(*before)
        with serve_shared(app).connect() as client:
            client.send(raw.request("POST", body=b"hello"))
            app.waiting.get(timeout=5)
            left_at = time.monotonic()
            leave(client)
            received_at, event = app.received.get(timeout=5)
        assert event == DISCONNECT
        latencies.append(received_at - left_at)
    assert min(latencies) <= LATENCY_SECONDS, latencies


@pytest.mark.parity
@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_disconnect_amid_an_upload(leave: Leave, serve_shared: ServeShared) -> None:
    events: SimpleQueue[tuple[float, Event]] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event: Event = {"type": ""}
        while event["type"] != "http.disconnect":
            event = await receive()
            events.put((time.monotonic(), event))

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "100")]) + b"part")
        _, event = events.get(timeout=5)
        assert event == {"type": "http.request", "body": b"part", "more_body": True}
        left_at = time.monotonic()
        leave(client)
        received_at, event = events.get(timeout=5)
        assert event == DISCONNECT
        assert received_at - left_at < 1


@pytest.mark.parity
def test_truncated_chunked_body_is_never_complete(serve_shared: ServeShared) -> None:
    events: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event: Event = {"type": ""}
        while event["type"] != "http.disconnect":
            event = await receive()
            events.put(event)

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n0\r\n")
        client.half_close()
        seen = [events.get(timeout=5)]
        while seen[-1] != DISCONNECT:
            seen.append(events.get(timeout=5))
    assert all(event["more_body"] for event in seen[:-1])


@pytest.mark.parity
@pytest.mark.parametrize("leave", [raw.Client.close, raw.Client.reset], ids=["FIN", "RST"])
def test_disconnect_is_remembered_for_a_late_receive(leave: Leave, serve_shared: ServeShared) -> None:
    gate = Gate()
    waiting: SimpleQueue[None] = SimpleQueue()
    received: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.put(None)
        await gate.wait()
        event: Event = {"type": ""}
        while event["type"] != "http.disconnect":
            event = await receive()
        received.put(event)
        received.put(await receive())

    with serve_shared(app).connect() as client:
        client.send(raw.request())
        waiting.get(timeout=5)
        leave(client)
        gate.open()
        assert received.get(timeout=5) == DISCONNECT
        assert received.get(timeout=5) == DISCONNECT


@pytest.mark.parity
def test_send_after_the_peer_reset_is_silent(serve_shared: ServeShared) -> None:
    outcome: SimpleQueue[BaseException | None] = SimpleQueue()
    app_waits: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        app_waits.put(None)
        assert await receive() == DISCONNECT
        try:
            await send(start(200, [length(b"hello")]))
            await turn_loop()
            await send(body(b"hello"))
            # After a disconnect even nonsense is taken in silence.
            await send({"type": "no.such.type"})
            await send({"type": "http.response.start", "status": 999})
        except BaseException as error:
            outcome.put(error)
            raise
        outcome.put(None)

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        app_waits.get(timeout=5)
        client.reset()
        assert outcome.get(timeout=5) is None
    with serve_shared(hello).connect() as client:
        client.exchange(raw.request())
    assert server.logs.messages == []


@pytest.mark.parity
def test_streaming_to_a_peer_that_reset_ends_silently(serve_shared: ServeShared) -> None:
    outcome: SimpleQueue[int] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send(start())
        await send(body(b"x" * 1000, more=True))
        assert await receive() == DISCONNECT
        for _ in range(200):
            await send(body(b"x" * 64 * 1024, more=True))
        await send(body())
        outcome.put(200)

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        client.response_head()
        client.reset()
        assert outcome.get(timeout=5) == 200
    assert server.logs.messages == []


@pytest.mark.parity
def test_return_after_disconnect_is_not_an_error(serve_shared: ServeShared) -> None:
    app = WaitingForDisconnect()
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        app.waiting.get(timeout=5)
        client.reset()
        app.received.get(timeout=5)
    with serve_shared(hello).connect() as client:
        client.exchange(raw.request())
    assert server.logs.messages == []


@pytest.mark.parity
def test_send_blocked_on_a_slow_peer_ends_when_it_resets(serve_shared: ServeShared) -> None:
    sent: SimpleQueue[int] = SimpleQueue()
    outcome: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(2000):
            await send(body(b"x" * 64 * 1024, more=True))
            sent.put(number)
        await send(body())
        outcome.put("returned")

    server = serve_shared(app)
    with server.connect(receive_buffer=4096) as client:
        client.send(raw.request())
        client.response_head()
        _drain(sent)
        client.reset()
        assert outcome.get(timeout=5) == "returned"


def _drain(queue: SimpleQueue[Any]) -> None:
    """Take everything until nothing has come for 0.3 s: then the sender is blocked."""
    import queue as queues

    while True:
        try:
            queue.get(timeout=0.3)
        except queues.Empty:
            return


# After a mere FIN the peer can still read: hypercorn answers, uvicorn does not.


@pytest.mark.differs_from_uvicorn("drops the connection at the FIN")
def test_half_closed_peer_gets_its_answer(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        data = await read_body(receive)
        await gate.wait()
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", body=b"hello"))
        client.half_close()
        gate.open()
        assert client.response().body == b"hello"
        assert client.wait_closed() == b""


@pytest.mark.differs_from_uvicorn("drops the connection at the FIN")
def test_half_closed_peer_gets_what_is_sent_after_the_disconnect_event(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        assert await receive() == DISCONNECT
        await send(start())
        for _ in range(3):
            await send(body(b"late", more=True))
            await asyncio.sleep(0)
        await send(body())

    with serve_shared(app).connect() as client:
        client.send(raw.request())
        client.half_close()
        assert client.response().body == b"late" * 3
        assert client.wait_closed() == b""


@pytest.mark.differs_from_uvicorn("drops the connection at the FIN")
def test_half_closed_peer_gets_the_rest_of_a_stream(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await gate.wait()
        await send(body(b"last"))

    with serve_shared(app).connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        client.half_close()
        gate.open()
        assert client.wait_closed() == b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n"


@pytest.mark.differs_from_uvicorn("drops the connection at the FIN")
def test_half_closed_peer_gets_all_pipelined_answers(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        if scope["path"] == "/0":
            assert await receive() == DISCONNECT
        await gate.wait()
        await send(start(200, [length(scope["raw_path"])]))
        await send(body(scope["raw_path"]))

    with serve_shared(app).connect() as client:
        client.send(b"".join(raw.request(target=f"/{number}") for number in range(5)))
        client.half_close()
        gate.open()
        assert [client.response().body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
        assert client.wait_closed() == b""


@pytest.mark.differs_from_uvicorn("the 500 is lost")
def test_half_closed_peer_gets_a_500(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        assert await receive() == DISCONNECT
        raise ValueError("after the FIN")

    with serve_shared(app).connect() as client:
        client.send(raw.request())
        client.half_close()
        assert client.response().status == 500


@pytest.mark.parity
def test_idle_connection_closes_after_half_close(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        client.exchange(raw.request())
        client.half_close()
        assert client.wait_closed(1) == b""


@pytest.mark.parity
def test_peer_that_leaves_amid_the_head_is_no_request(serve_shared: ServeShared) -> None:
    server = serve_shared(hello)
    for leave in (raw.Client.close, raw.Client.reset):
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: te")
            leave(client)
    with server.connect() as client:
        client.exchange(raw.request())
    assert len(server.logs.of("uvicorn.access")) == 1
    assert server.logs.messages == []

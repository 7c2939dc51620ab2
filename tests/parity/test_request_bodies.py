"""Request bodies: what `receive()` gives, in which pieces, and what is never given to the app."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue

import pytest

from tests import raw
from tests.apps import Event, Gate, Receive, Scope, Send, body, echo, hello, length, start
from tests.conftest import ServeShared


class Receiving:
    """An app that calls receive() until the body is whole (or that many times), keeps the events, and says hello."""

    def __init__(self, times: int | None = None, gate: Gate | None = None) -> None:
        self.times = times
        self.gate = gate
        self._events: SimpleQueue[list[Event]] = SimpleQueue()

    def events(self) -> list[Event]:
        return self._events.get(timeout=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.gate is not None:
            await self.gate.wait()
        events = [await receive()]
        while len(events) < self.times if self.times else events[-1].get("more_body"):
            events.append(await receive())
        self._events.put(events)
        await hello(scope, receive, send)


def request_event(data: bytes, *, more: bool = False) -> Event:
    return {"type": "http.request", "body": data, "more_body": more}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_body_is_one_empty_event(method: str, serve_shared: ServeShared) -> None:
    app = Receiving()
    with serve_shared(app).connect() as client:
        client.exchange(raw.request(method))
    assert app.events() == [request_event(b"")]


def test_small_body_is_one_event(serve_shared: ServeShared) -> None:
    app = Receiving()
    with serve_shared(app).connect() as client:
        client.exchange(raw.request("POST", body=b"hello"))
    events = app.events()
    assert events == [request_event(b"hello")]
    assert list(events[0]) == ["type", "body", "more_body"]
    assert [type(value) for value in events[0].values()] == [str, bytes, bool]


def test_content_length_zero_is_one_empty_event(serve_shared: ServeShared) -> None:
    app = Receiving()
    with serve_shared(app).connect() as client:
        client.exchange(raw.request("POST", body=b""))
    assert app.events() == [request_event(b"")]


def test_chunks_that_came_together_are_one_event(serve_shared: ServeShared) -> None:
    app = Receiving()
    with serve_shared(app).connect() as client:
        client.exchange(raw.request("POST", chunks=[b"one", b"two", b"three"]))
    assert app.events() == [request_event(b"onetwothree")]


def test_body_that_comes_later_is_received_when_it_comes(serve_shared: ServeShared) -> None:
    events: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event: Event = {"more_body": True}
        while event["more_body"]:
            event = await receive()
            events.put(event)
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"first")
        assert events.get(timeout=5) == request_event(b"first", more=True)
        client.send(b"other")
        assert events.get(timeout=5) == request_event(b"other")
        assert client.response().body == b"hello"


def test_end_that_comes_later_is_an_empty_last_event(serve_shared: ServeShared) -> None:
    events: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event: Event = {"more_body": True}
        while event["more_body"]:
            event = await receive()
            events.put(event)
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]) + raw.chunk(b"all"))
        assert events.get(timeout=5) == request_event(b"all", more=True)
        client.send(raw.chunk(b""))
        assert events.get(timeout=5) == request_event(b"")
        assert client.response().body == b"hello"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_large_body_arrives_whole_in_bounded_events(is_chunked: bool, serve_shared: ServeShared) -> None:
    data = bytes(range(256)) * 4 * 1024 + b"end"
    app = Receiving()
    pieces = [data[at : at + 9000] for at in range(0, len(data), 9000)]
    request = raw.request("POST", chunks=pieces) if is_chunked else raw.request("POST", body=data)
    with serve_shared(app).connect() as client:
        assert client.exchange(request).body == b"hello"
    events = app.events()
    assert b"".join(event["body"] for event in events) == data
    assert [event["more_body"] for event in events] == [True] * (len(events) - 1) + [False]
    # uvicorn stops reading above 64 KiB; one read of up to 256 KiB (uvloop: 64 KiB) may come on top.
    assert max(len(event["body"]) for event in events) <= (64 + 256) * 1024


def test_body_is_gathered_until_receive_is_called(serve_shared: ServeShared) -> None:
    gate = Gate()
    app = Receiving(gate=gate)
    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "6")]) + b"one")
        client.send(b"two")
        gate.open()
        assert client.response().body == b"hello"
    assert b"".join(event["body"] for event in app.events()) == b"onetwo"


def test_receive_after_the_body_waits_for_the_disconnect(serve_shared: ServeShared) -> None:
    app = Receiving(times=2)
    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", body=b"hello"))
        client.close()
        assert app.events() == [request_event(b"hello"), {"type": "http.disconnect"}]


def test_receive_after_complete_is_disconnect_at_once(serve_shared: ServeShared) -> None:
    events: SimpleQueue[list[Event]] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        events.put([await receive(), await receive()])

    with serve_shared(app).connect() as client:
        client.exchange(raw.request("POST", body=b"unread"))
        assert events.get(timeout=5) == [{"type": "http.disconnect"}] * 2


CHUNKED_BODIES = {
    "plain": b"5\r\nhello\r\n0\r\n\r\n",
    "upper case": b"A\r\nhellohello\r\n0\r\n\r\n",
    "leading zeros": b"005\r\nhello\r\n000\r\n\r\n",
    "extension": b"5;name=value\r\nhello\r\n0;last\r\n\r\n",
    "quoted extension": b'5;name="a;b"\r\nhello\r\n0\r\n\r\n',
    "one byte each": b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n",
    "binary": b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("wire", CHUNKED_BODIES.values(), ids=CHUNKED_BODIES)
@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "byte by byte"])
def test_chunked_body(wire: bytes, is_split: bool, serve_shared: ServeShared) -> None:
    expected = {b"A": b"hellohello", b"6": b"\r\n0\r\n\r"}.get(wire[:1], b"hello")
    with serve_shared(echo).connect() as client:
        for _ in range(2):
            client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]))
            for piece in [wire[at : at + 1] for at in range(len(wire))] if is_split else [wire]:
                client.send(piece)
            assert client.response().body == expected


@pytest.mark.parametrize("is_chunked", [False, True])
def test_unread_body_is_drained_and_the_connection_kept(is_chunked: bool, serve_shared: ServeShared) -> None:
    data = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n" * 100
    paths: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.put(scope["path"])
        await hello(scope, receive, send)

    request = raw.request("POST", "/first", **({"chunks": [data]} if is_chunked else {"body": data}))
    with serve_shared(app).connect() as client:
        assert client.exchange(request).body == b"hello"
        assert client.exchange(raw.request(target="/second")).body == b"hello"
    assert [paths.get(timeout=5), paths.get(timeout=5)] == ["/first", "/second"]
    assert paths.empty()


def test_many_chunks_of_one_byte(serve_shared: ServeShared) -> None:
    data = bytes(range(256)) * 80
    with serve_shared(echo).connect() as client:
        client.send(raw.request("POST", chunks=[data[at : at + 1] for at in range(len(data))]))
        assert client.response().body == data


def test_body_sent_after_the_answer_is_drained_too(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "11")]))
        assert client.response().body == b"hello"
        client.send(b"hello world")
        assert client.exchange(raw.request()).body == b"hello"


def test_answer_to_a_huge_upload_nobody_reads_arrives(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", str(1024 * 1024 * 1024))]))
        for _ in range(64):
            client.send(b"x" * 64 * 1024)
        assert client.response().body == b"hello"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_body_of_any_method_is_never_the_next_request(method: str, serve_shared: ServeShared) -> None:
    app = Receiving()
    with serve_shared(app).connect() as client:
        for _ in range(2):
            assert client.exchange(raw.request(method, body=b"GET /x HTTP/1.1\r\n\r\n"), method=method).status == 200
            assert app.events() == [request_event(b"GET /x HTTP/1.1\r\n\r\n")]


def test_receive_while_sending_gives_the_body(serve_shared: ServeShared) -> None:
    data = hashlib.sha256(b"seed").digest() * 8 * 1024

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [length(data)]))
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send(body(event["body"], more=more))

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request("POST", body=data))
        assert client.response().body == data
        assert client.exchange(raw.request("POST", body=data)).body == data

"""Several requests on one connection: answers in order, errors after the answers owed, and the lingering close."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, body, echo, hello, length, start, turn_loop
from tests.conftest import ServeShared

INVALID = b"GET / HTTP/1.1\r\nHost: test\r\nBad Header: 1\r\n\r\n"


async def tell_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path, later the shorter it is, so that an answer that overtakes is seen."""
    path = scope["raw_path"]
    await turn_loop(max(0, 10 - len(path)))
    await send(start(200, [length(path)]))
    await send(body(path))


@pytest.mark.parity
def test_pipelined_requests_are_answered_in_order(serve_shared: ServeShared) -> None:
    targets = ["/" + "x" * number for number in range(10)]
    with serve_shared(tell_path).connect() as client:
        client.send(b"".join(raw.request(target=target) for target in targets))
        assert [client.response().body.decode() for _ in targets] == targets


@pytest.mark.parity
def test_a_thousand_pipelined_requests(serve_shared: ServeShared) -> None:
    targets = [f"/{number}" for number in range(1000)]
    with serve_shared(tell_path).connect() as client:
        client.send(b"".join(raw.request(target=target) for target in targets))
        assert [client.response().body.decode() for _ in targets] == targets


@pytest.mark.parity
def test_only_one_request_of_a_connection_runs_at_a_time(serve_shared: ServeShared) -> None:
    gate = Gate()
    started: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.put(scope["path"])
        if scope["path"] == "/first":
            await gate.wait()
        await tell_path(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request(target="/first") + raw.request(target="/second"))
        assert started.get(timeout=5) == "/first"
        assert client.silent_for(0.1)
        assert started.empty()
        gate.open()
        assert [client.response().body, client.response().body] == [b"/first", b"/second"]


@pytest.mark.parity
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_pipelined_bodies_stay_with_their_requests(is_chunked: bool, serve_shared: ServeShared) -> None:
    bodies = [hashlib.sha256(bytes([number])).digest() * number for number in range(20)]
    requests = [
        raw.request("POST", chunks=[data]) if is_chunked else raw.request("POST", body=data) for data in bodies[1:]
    ]
    with serve_shared(echo).connect() as client:
        client.send(b"".join(requests))
        assert [client.response().body for _ in requests] == bodies[1:]


@pytest.mark.parity
def test_unread_body_before_a_pipelined_request(serve_shared: ServeShared) -> None:
    with serve_shared(tell_path).connect() as client:
        client.send(raw.request("POST", "/first", body=b"unread") + raw.request(target="/second"))
        assert [client.response().body, client.response().body] == [b"/first", b"/second"]


@pytest.mark.parity
def test_nothing_after_connection_close_is_answered(serve_shared: ServeShared) -> None:
    with serve_shared(tell_path).connect() as client:
        client.send(raw.request(target="/last", headers=[("Connection", "close")]) + raw.request(target="/never"))
        assert client.response().body == b"/last"
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_empty_lines_between_requests_are_ignored(serve_shared: ServeShared) -> None:
    # RFC 9112 §2.2
    with serve_shared(tell_path).connect() as client:
        client.send(raw.request(target="/one") + b"\r\n" + raw.request(target="/two"))
        assert [client.response().body, client.response().body] == [b"/one", b"/two"]


@pytest.mark.differs_from_uvicorn("the 400 overtakes, and the answer owed is lost")
@pytest.mark.parametrize("valid", [1, 3])
def test_invalid_request_is_answered_after_the_valid_ones(valid: int, serve_shared: ServeShared) -> None:
    with serve_shared(tell_path).connect() as client:
        client.send(b"".join(raw.request(target=f"/{number}") for number in range(valid)) + INVALID)
        assert [client.response().status for _ in range(valid)] == [200] * valid
        assert client.response().status == 400
        assert client.wait_closed() == b""


@pytest.mark.differs_from_uvicorn("the 400 overtakes, and the answer owed is lost")
def test_invalid_request_waits_for_a_slow_answer(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request() + INVALID)
        assert client.silent_for(0.1)
        gate.open()
        assert [client.response().status, client.response().status] == [200, 400]
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_nothing_after_an_invalid_request_reaches_the_app(serve_shared: ServeShared) -> None:
    paths: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.put(scope["path"])
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(INVALID + raw.request(target="/smuggled"))
        assert client.response().status == 400
        assert client.wait_closed() == b""
    assert paths.empty()


@pytest.mark.differs_from_uvicorn(
    "closes at once: unread bytes make the kernel send an RST, which takes the answer along"
)
def test_client_that_still_sends_can_read_the_400(serve_shared: ServeShared) -> None:
    # A close with unread bytes in the kernel is an RST that destroys the answer; a lingering close reads on.
    for _ in range(5):
        with serve_shared(hello).connect() as client:
            client.send(INVALID)
            for _ in range(50):
                client.send(b"x" * 16 * 1024)
            assert client.response().status == 400
            client.half_close()
            assert client.wait_closed() == b""


@pytest.mark.parity
def test_error_amid_a_pipelined_request_keeps_the_others_apart(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise ValueError("as asked")
        await tell_path(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request(target="/fine") + raw.request(target="/raise") + raw.request(target="/never"))
        assert client.response().body == b"/fine"
        assert client.response().status == 500
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_head_and_get_pipelined(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        client.send(raw.request("HEAD") + raw.request("GET"))
        assert client.response(method="HEAD").header(b"content-length") == b"5"
        assert client.response().body == b"hello"

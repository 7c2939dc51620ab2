"""`Expect: 100-continue`: an interim response when the app first asks for the body, and only then."""

from __future__ import annotations

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, echo, hello, read_body
from tests.conftest import ServeShared

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def waiting_request(size: int, expect: str = "100-continue") -> bytes:
    return raw.request("POST", headers=[("Expect", expect), ("Content-Length", str(size))])


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
def test_100_comes_before_the_body_is_sent(expect: str, serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        for _ in range(2):
            client.send(waiting_request(5, expect))
            assert client.exactly(len(CONTINUE)) == CONTINUE
            client.send(b"hello")
            assert client.response().body == b"hello"


def test_100_comes_with_the_first_receive_and_not_before(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await echo(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(waiting_request(5))
        assert client.silent_for(0.1)
        gate.open()
        assert client.exactly(len(CONTINUE)) == CONTINUE
        client.send(b"hello")
        assert client.response().body == b"hello"


def test_100_comes_once(serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        client.send(waiting_request(6))
        assert client.exactly(len(CONTINUE)) == CONTINUE
        client.send(b"one")
        assert client.silent_for(0.05)
        client.send(b"two")
        assert client.response().body == b"onetwo"


def test_no_100_when_the_app_answers_first(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        # Too late: the answer is given.
        await receive()

    with serve_shared(app).connect() as client:
        client.send(waiting_request(5))
        response = client.response()
        assert (response.status, response.body) == (200, b"hello")
        if response.closes:
            # Whether the body will follow is unknown, so closing is the other right answer (RFC 9110 §10.1.1).
            assert client.wait_closed() == b""
            return
        client.send(b"hello")
        assert client.exchange(raw.request()).status == 200


def test_no_100_without_the_expectation(serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "5")]))
        assert client.silent_for(0.05)
        client.send(b"hello")
        assert client.response().status == 200


def test_body_sent_without_waiting_is_received(serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        client.send(waiting_request(5) + b"hello")
        response = client.response()
        if response.status == 100:
            response = client.response()
        assert (response.status, response.body) == (200, b"hello")


def test_chunked_body_after_100(serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        client.send(raw.request("POST", headers=[("Expect", "100-continue"), ("Transfer-Encoding", "chunked")]))
        assert client.exactly(len(CONTINUE)) == CONTINUE
        client.send(raw.chunk(b"hello") + raw.chunk(b""))
        assert client.response().body == b"hello"


def test_raise_before_receive_is_500_without_100(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no need for the body")

    with serve_shared(app).connect() as client:
        client.send(waiting_request(5))
        assert client.response().status == 500


def test_pipelined_expectations_each_get_their_100(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request() + waiting_request(5))
        assert client.response().status == 200
        assert client.exactly(len(CONTINUE)) == CONTINUE
        client.send(b"hello")
        assert client.response().status == 200

"""Limits on the request head, and malformed requests: the right 4xx or 5xx, then a close, and never the app."""

from __future__ import annotations

import contextlib
from queue import Empty, SimpleQueue

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, hello
from tests.conftest import Serve, ServeProcess, ServeShared

INVALID_REQUEST = b"Invalid HTTP request received."


def assert_refused(client: raw.Client, status: int) -> raw.Response:
    response = client.response()
    assert response.status == status
    assert response.closes
    client.half_close()
    assert client.wait_closed() == b""
    return response


# What is malformed for uvicorn and for bicorn: the same bytes come back, and the same line is logged.

ALSO_400_FOR_UVICORN = {
    "no http": b"hello\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: test\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
    "control byte in target": b"GET /\x01 HTTP/1.1\r\nHost: test\r\n\r\n",
    "utf-8 in target": "GET /é HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
    "space before colon": raw.request(headers=[("X-Test ", "1")]),
    "space in name": raw.request(headers=[("X Test", "1")]),
    "no colon": b"GET / HTTP/1.1\r\nHost: test\r\nX-Test\r\n\r\n",
    "empty name": raw.request(headers=[("", "1")]),
    "folded line": b"GET / HTTP/1.1\r\nHost: test\r\nX-Test: a\r\n b\r\n\r\n",
    "nul in value": raw.request(headers=[("X-Test", "a\x00b")]),
    "bare cr in value": raw.request(headers=[("X-Test", "a\rb")]),
    "length and chunked": raw.request("POST", headers=[("Content-Length", "5")], chunks=[b"hello"]),
    "two lengths": raw.request("POST", headers=[("Content-Length", "4")], body=b"hello"),
    "negative length": raw.request("POST", headers=[("Content-Length", "-1")]),
    "signed length": raw.request("POST", headers=[("Content-Length", "+5")]),
    "length list": raw.request("POST", headers=[("Content-Length", "5, 5")]),
    "hex length": raw.request("POST", headers=[("Content-Length", "0x5")]),
    "length overflow": raw.request("POST", headers=[("Content-Length", "99999999999999999999999")]),
    "empty length": raw.request("POST", headers=[("Content-Length", "")]),
}


@pytest.mark.parity
@pytest.mark.parametrize("request_bytes", ALSO_400_FOR_UVICORN.values(), ids=ALSO_400_FOR_UVICORN)
def test_malformed_request_is_400_as_uvicorn_writes_it(request_bytes: bytes, serve_shared: ServeShared) -> None:
    called: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.put(scope["path"])

    server = serve_shared(app)
    with server.connect() as client:
        client.send(request_bytes)
        response = assert_refused(client, 400)
    assert [name for name, _ in response.headers[:2]] == [b"date", b"server"]
    assert response.headers[2:] == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"30"),
        (b"connection", b"close"),
    ]
    assert (response.reason, response.body) == (b"Bad Request", INVALID_REQUEST)
    record = server.logs.wait_for("Invalid HTTP request received.")
    assert record.levelname == "WARNING"
    assert called.empty()
    assert server.logs.of("uvicorn.access") == []


@pytest.mark.parity
@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_malformed_chunk_is_400_and_never_a_complete_body(wire: bytes, serve_shared: ServeShared) -> None:
    ends: SimpleQueue[bool] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event = await receive()
        while event.get("more_body"):
            event = await receive()
        ends.put(event["type"] == "http.disconnect")

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]) + wire)
        assert_refused(client, 400)
        client.close()
    # The app need not be called at all; if it is, it must hear of the end as a disconnect.
    with contextlib.suppress(Empty):
        assert ends.get(timeout=0.1)


# What uvicorn lets through.

REFUSED = {
    "no host": (400, raw.request(host=None)),
    "two hosts": (400, raw.request(headers=[("Host", "test")])),
    "empty host": (400, raw.request(host="")),
    "host with path": (400, raw.request(host="test/path")),
    "host with userinfo": (400, raw.request(host="user@test")),
    "asterisk with GET": (400, raw.request(target="*")),
    "fragment in target": (400, raw.request(target="/a#b")),
    "two content types": (400, raw.request(headers=[("Content-Type", "a/b"), ("Content-Type", "c/d")])),
    "unknown expectation": (417, raw.request("POST", headers=[("Expect", "more")], body=b"hello")),
    "unknown coding": (501, raw.request("POST", headers=[("Transfer-Encoding", "gzip, chunked")])),
    "version 9.9": (505, raw.request(version="9.9")),
    "version 2.0": (505, raw.request(version="2.0")),
    "transfer-encoding in 1.0": (400, raw.request("POST", version="1.0", chunks=[b"hello"])),
}


@pytest.mark.differs_from_uvicorn("lets it through, or answers 400 to all")
@pytest.mark.parametrize(("status", "request_bytes"), REFUSED.values(), ids=REFUSED)
def test_request_the_rfc_forbids_is_refused(status: int, request_bytes: bytes, serve_shared: ServeShared) -> None:
    called: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.put(scope["path"])
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(request_bytes)
        assert_refused(client, status)
    assert called.empty()


@pytest.mark.parity
def test_http10_needs_no_host(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        assert client.exchange(raw.request(version="1.0", host=None)).body == b"hello"


# Sizes


def head_of(size: int) -> bytes:
    """Build a request whose head is exactly that long."""
    start = raw.request(headers=[("X-Pad", "")])
    return raw.request(headers=[("X-Pad", "x" * (size - len(start)))])


def fields(count: int) -> list[tuple[str, str]]:
    """Return that many headers less the one for Host."""
    return [(f"X-{number}", "1") for number in range(count - 1)]


@pytest.mark.parity
def test_long_but_lawful_heads_are_served(serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        assert client.exchange(head_of(64 * 1024 - 16)).status == 200
        assert client.exchange(raw.request(headers=fields(100))).status == 200
        assert client.exchange(raw.request(target="/" + "x" * 16_000)).status == 200


@pytest.mark.differs_from_uvicorn("has no limits")
@pytest.mark.parametrize(
    ("status", "request_bytes"),
    [
        pytest.param(431, head_of(64 * 1024 + 1), id="head"),
        pytest.param(431, head_of(1024 * 1024), id="1 MiB value"),
        pytest.param(431, raw.request(headers=fields(101)), id="101 fields"),
        pytest.param(431, raw.request(headers=fields(10_000)), id="10,000 fields"),
        pytest.param(414, raw.request(target="/" + "x" * 16 * 1024), id="target"),
        pytest.param(414, raw.request(target="/" + "x" * 1024 * 1024), id="1 MiB target"),
    ],
)
def test_default_limits(status: int, request_bytes: bytes, serve_shared: ServeShared) -> None:
    with serve_shared(hello).connect() as client:
        client.send(request_bytes)
        assert_refused(client, status)


@pytest.mark.differs_from_uvicorn("has no limits")
def test_head_limit_is_an_option(serve: Serve) -> None:
    with serve(hello, limit_request_head=1000) as server:
        with server.connect() as client:
            assert client.exchange(head_of(1000)).status == 200
            client.send(head_of(1001))
            assert_refused(client, 431)
        with server.connect() as client:
            # No need to wait for the end of a head that is too long already.
            client.send(head_of(2000)[:1500])
            assert_refused(client, 431)


@pytest.mark.differs_from_uvicorn("has no limits")
def test_field_limit_is_an_option(serve: Serve) -> None:
    with serve(hello, limit_request_fields=10) as server, server.connect() as client:
        assert client.exchange(raw.request(headers=fields(10))).status == 200
        client.send(raw.request(headers=fields(11)))
        assert_refused(client, 431)


@pytest.mark.differs_from_uvicorn("has no limits")
def test_target_limit_is_an_option(serve: Serve) -> None:
    with serve(hello, limit_request_target=100) as server, server.connect() as client:
        assert client.exchange(raw.request(target="/" + "x" * 99)).status == 200
        client.send(raw.request(target="/" + "x" * 100))
        assert_refused(client, 414)


@pytest.mark.differs_from_uvicorn("has no limits")
def test_limits_are_options_of_the_command_line(serve_process: ServeProcess) -> None:
    options = ["--limit-request-head=1000", "--limit-request-fields=10", "--limit-request-target=100"]
    refused = {431: [head_of(1001), raw.request(headers=fields(11))], 414: [raw.request(target="/" + "x" * 100)]}
    with serve_process("tests.apps:hello", *options) as server:
        for status, requests in refused.items():
            for request in requests:
                with server.connect() as client:
                    client.send(request)
                    assert_refused(client, status)


@pytest.mark.differs_from_uvicorn("has no limits")
def test_zero_turns_the_limits_off(serve: Serve) -> None:
    options = {"limit_request_head": 0, "limit_request_fields": 0, "limit_request_target": 0}
    with serve(hello, **options) as server, server.connect() as client:
        assert client.exchange(raw.request(headers=fields(2000))).status == 200
        assert client.exchange(head_of(300_000)).status == 200
        assert client.exchange(raw.request(target="/" + "x" * 60_000)).status == 200


@pytest.mark.differs_from_uvicorn("reads on for ever")
@pytest.mark.parametrize("flood", [b"5;x=" + b"y" * 1024 * 1024, b"0\r\nX-Trailer: " + b"y" * 1024 * 1024])
def test_endless_chunk_extension_or_trailer_is_refused(flood: bytes, serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event = await receive()
        while event.get("more_body"):
            event = await receive()

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]))
        client.send(flood)
        response = client.response()
        assert response.status in (400, 413, 431)
        client.half_close()
        client.wait_closed()


# Concurrency (uvicorn contract 1.11)


@pytest.mark.parity
def test_limit_concurrency_is_503(serve: Serve) -> None:
    with serve(hello, limit_concurrency=1) as server, server.connect() as client:
        client.send(raw.request())
        response = client.response()
        assert (response.status, response.reason, response.body) == (
            503,
            b"Service Unavailable",
            b"Service Unavailable",
        )
        assert response.headers[-3:] == [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"19"),
            (b"connection", b"close"),
        ]
        assert client.wait_closed() == b""
        record = server.logs.wait_for("Exceeded concurrency limit.")
        assert record.levelname == "WARNING"
        access = server.logs.wait_for("GET / HTTP/1.1", logger_name="uvicorn.access")
        assert isinstance(access.args, tuple)
        assert access.args[-1] == 503


@pytest.mark.parity
def test_limit_concurrency_counts_running_requests(serve: Serve) -> None:
    gate = Gate()
    started: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.put(None)
        await gate.wait()
        await hello(scope, receive, send)

    with serve(app, limit_concurrency=2) as server, server.connect() as first:
        first.send(raw.request())
        started.get(timeout=5)
        with server.connect() as second:
            assert second.exchange(raw.request()).status == 503
        gate.open()
        assert first.response().status == 200


@pytest.mark.parity
def test_limit_max_requests_ends_the_server(serve: Serve) -> None:
    with serve(hello, limit_max_requests=2) as server:
        for _ in range(2):
            with server.connect() as client:
                assert client.exchange(raw.request()).body == b"hello"
        server.join()
        assert "Maximum request limit of 2 exceeded. Terminating process." in server.logs.messages

"""HTTP/2 on a clear port, by prior knowledge: what the application sees, and what the client gets.

Frames and their order are the business of the Rust dialogues, floods that of the abuse tests.
"""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from typing import Any

import pytest

from tests import http2_frames as h2
from tests import raw, raw_http2
from tests.apps import Event, Gate, Receive, Scope, Send, body, read_body, start
from tests.conftest import Serve
from tests.serving import Served

pytestmark = pytest.mark.differs_from_uvicorn("no HTTP/2 by prior knowledge without an extra package")


def connect(server: Served, **options: Any) -> raw_http2.Client:
    return raw_http2.Client(server.host, server.port, **options)


class Recording:
    """Keeps the scope and the content of each request, and answers with it."""

    def __init__(self) -> None:
        self.scopes: SimpleQueue[Scope] = SimpleQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = await read_body(receive)
        self.scopes.put(scope)
        await send(start(200, [(b"content-length", str(len(content)).encode())]))
        await send(body(content))


def test_scope_is_that_of_http_1_but_for_the_version(serve: Serve) -> None:
    app = Recording()
    fields = [(b"accept", b"*/*"), (b"x-a", b"1"), (b"x-a", b"2")]
    with serve(app) as server:
        with connect(server) as client:
            client.exchange(b"GET", b"/a%20b?c=%20", *fields)
            over_2 = app.scopes.get(timeout=5)
        with server.connect() as old:
            lines = [(b"host", b"test"), *fields]
            head = b"GET /a%20b?c=%20 HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines)
            old.send(head + b"\r\n")
            old.response()
            over_1 = app.scopes.get(timeout=5)
    assert over_2["headers"][0] == (b"host", b"test")
    assert (over_2.pop("http_version"), over_1.pop("http_version")) == ("2", "1.1")
    for scope in (over_1, over_2):
        # The client's port differs, and state is a copy for each request.
        scope.pop("client"), scope.pop("state", None)
    assert over_2 == over_1


def test_cookie_crumbs_are_one_header(serve: Serve) -> None:
    app = Recording()
    with serve(app) as server, connect(server) as client:
        client.exchange(b"GET", b"/", (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"))
        headers = app.scopes.get(timeout=5)["headers"]
    assert headers == [(b"host", b"test"), (b"cookie", b"a=b; c=d"), (b"x", b"y")]


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536, 3_000_000])
def test_content_of_any_size_goes_both_ways(size: int, serve: Serve) -> None:
    with serve(Recording()) as server, connect(server) as client:
        response = client.exchange(b"POST", b"/", body=b"x" * size)
        assert (response.status, len(response.body), response.reset) == (200, size, None)
        assert client.exchange(b"GET").status == 200


def test_default_headers_and_log_line_are_those_of_http_1(serve: Serve) -> None:
    with serve(Recording()) as server, connect(server) as client:
        response = client.exchange(b"GET", b"/path?query")
        assert response.header(b"server") == b"bicorn"
        assert response.header(b"date")
        record = server.logs.wait_for('"GET /path?query HTTP/2" 200', logger_name="uvicorn.access")
    assert record.getMessage().endswith('- "GET /path?query HTTP/2" 200')


def test_headers_of_a_connection_do_not_leave(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"x", b"y")]))
        await send(body(b"content"))

    with serve(app) as server, connect(server) as client:
        for _ in range(2):
            response = client.exchange()
            names = [name for name, _ in response.headers]
            assert (names, response.body) == ([b"date", b"server", b"x"], b"content")
            assert client.goaway is None


def test_an_app_that_raises_before_its_answer_is_500(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("on purpose")

    with serve(app) as server, connect(server) as client:
        for _ in range(2):
            response = client.exchange()
            assert (response.status, response.body) == (500, b"Internal Server Error")


def test_an_app_that_raises_in_its_answer_resets_the_stream_alone(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200))
        await send(body(b"half", more=True))
        if scope["path"] == "/fails":
            raise RuntimeError("on purpose")
        await gate.wait()
        await send(body(b" and half"))

    with serve(app) as server, connect(server) as client:
        whole, broken = client.request(), client.request(path=b"/fails")
        response = client.response(broken)
        assert (response.status, response.body, response.reset) == (200, b"half", h2.INTERNAL_ERROR)
        gate.open()
        assert client.response(whole).body == b"half and half"


def test_a_reset_is_a_disconnect(serve: Serve) -> None:
    events: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        events.put({"type": "waiting"})
        events.put(await receive())

    with serve(app) as server, connect(server) as client:
        stream = client.request()
        events.get(timeout=5)
        client.send(h2.rst_stream(stream))
        assert events.get(timeout=5) == {"type": "http.disconnect"}


def test_streams_run_at_the_same_time(serve: Serve) -> None:
    arrived = 0
    everybody = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 100:
            everybody.set()
        await everybody.wait()
        await send(start(200))
        await send(body(scope["path"].encode()))

    with serve(app) as server, connect(server) as client:
        streams = {client.request(path=b"/%d" % number): b"/%d" % number for number in range(100)}
        assert {stream: client.response(stream).body for stream in streams} == streams


def test_more_streams_than_allowed_are_refused(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with serve(app, http2_max_concurrent_streams=2, timeout_graceful_shutdown=1) as server, connect(server) as client:
        assert client.wait_settings()[h2.MAX_CONCURRENT_STREAMS] == 2
        streams = [client.request() for _ in range(3)]
        assert client.response(streams[2]).reset == h2.REFUSED_STREAM


def test_a_request_head_has_the_limits_of_http_1(serve: Serve) -> None:
    with serve(Recording(), limit_request_fields=5, limit_request_target=50) as server, connect(server) as client:
        assert client.exchange(b"GET", b"/" + b"x" * 50).status == 414
        assert client.exchange(b"GET", b"/", *[(b"x", b"y")] * 5).status == 431
        stream = client.open_stream()
        client.send(h2.headers(stream, h2.header_block([(b":method", b"CONNECT"), (b":authority", b"h:1")])))
        assert client.response(stream).status == 501
        assert client.exchange().status == 200


def test_a_header_list_beyond_its_limit_is_431(serve: Serve) -> None:
    with serve(Recording(), http2_max_header_list=2000) as server, connect(server) as client:
        assert client.wait_settings()[h2.MAX_HEADER_LIST_SIZE] == 2000
        assert client.exchange(b"GET", b"/", (b"x", b"y" * 2000)).status == 431
        assert client.exchange().status == 200


def test_without_http2_the_preface_is_refused(serve: Serve) -> None:
    with serve(Recording(), http2=False) as server, server.connect() as client:
        client.send(h2.PREFACE)
        assert client.response().status == 505


def test_what_is_neither_http_1_nor_http_2_is_not_answered(serve: Serve) -> None:
    with serve(Recording()) as server, server.connect() as client:
        client.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
        with pytest.raises(raw.Closed):
            client.response()


def test_a_stopping_server_finishes_its_streams(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200))
        await send(body(b"half", more=True))
        await gate.wait()
        await send(body(b" and half"))

    with serve(app) as server, connect(server) as client:
        stream = client.request()
        client.head(stream)
        server.stop()
        assert client.wait_goaway().error == h2.NO_ERROR
        gate.open()
        assert client.response(stream).body == b"half and half"
        client.wait_closed()

"""Scopes of requests that uvicorn refuses or hands over differently; `parity/test_scope.py` has all the rest."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest

from tests import raw
from tests.apps import Receive, Scope, ScopeKeeper, Send, hello, read_body
from tests.conftest import ServeShared


@pytest.mark.differs_from_uvicorn("its parser knows a list of methods")
@pytest.mark.parametrize("method", ["FOO", "get", "Get", "X-CUSTOM!", "A" * 30])
def test_any_method_token_reaches_the_app_as_it_is(method: str, serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        client.send(raw.request(method))
        assert client.response().status == 200
    assert keeper.next()["method"] == method


@pytest.mark.differs_from_uvicorn("RFC 9112 §5.1: whitespace around a value is not part of it")
@pytest.mark.parametrize("end", [" ", "\t", " \t  "])
def test_whitespace_after_a_header_value_is_left_out(end: str, serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        assert client.exchange(raw.request(headers=[("X-Test", f"padded{end}")])).status == 200
    assert keeper.next()["headers"] == [(b"host", b"test"), (b"x-test", b"padded")]


@pytest.mark.differs_from_uvicorn("RFC 9112 §3.2.2: an absolute-form target may have an empty path")
def test_absolute_form_without_path_is_the_root(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        assert client.exchange(raw.request(target="http://example.com", host="example.com")).status == 200
    scope = keeper.next()
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", b"")


@pytest.mark.differs_from_uvicorn("they appear in scope['headers'] while the app runs")
def test_trailers_never_become_headers(serve_shared: ServeShared) -> None:
    headers: SimpleQueue[Any] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        headers.put(list(scope["headers"]))
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Transfer-Encoding", "chunked")]))
        client.send(b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nContent-Length: 9\r\n\r\n")
        assert client.response().body == b"hello"
    assert headers.get(timeout=5) == [(b"host", b"test"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parity
def test_head_split_at_every_byte_is_the_same_request(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    server = serve_shared(keeper)
    request = raw.request("POST", "/a%20b?c", [("X-One", "1"), ("X-Two", "2")], b"")
    with server.connect() as client:
        client.exchange(request)
        whole = keeper.next()
        for at in range(1, len(request)):
            client.send(request[:at])
            # The kernel may join the two; that both halves arrive apart is likely, not certain.
            client.send(request[at:])
            assert client.response(method="POST").status == 200
            scope = keeper.next()
            assert scope == whole, at


@pytest.mark.parity
def test_head_of_one_byte_per_write_is_the_same_request(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        for byte in raw.request("GET", "/slow?x=1", [("X-One", "1")]):
            client.send(bytes([byte]))
        assert client.response().status == 200
    scope = keeper.next()
    assert (scope["path"], scope["headers"]) == ("/slow", [(b"host", b"test"), (b"x-one", b"1")])

"""WSGI apps, through a2wsgi and through the middleware for those who have not installed it."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bicorn.wsgi import WSGIMiddleware, build_environ
from tests import raw
from tests.apps import Event, Gate, Scope
from tests.conftest import Serve

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    data = environ["wsgi.input"].read()
    start_response("201 Made", [("Content-Length", str(len(data))), ("X-Method", environ["REQUEST_METHOD"])])
    return [data[:3], b"", data[3:]]


@pytest.fixture(params=["a2wsgi", "own"])
def _middleware(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "own":
        monkeypatch.setitem(sys.modules, "a2wsgi", None)


# Over a socket, on both.


@pytest.mark.usefixtures("_middleware")
def test_body_and_headers_go_both_ways(serve: Serve) -> None:
    with serve(echo, interface="wsgi") as server, server.connect() as client:
        response = client.exchange(raw.request("POST", body=b"x" * 200_000))
        assert (response.status, response.body) == (201, b"x" * 200_000)
        assert response.header(b"x-method") == b"POST"
        assert client.exchange(raw.request("PUT", chunks=[b"ab", b"cde"])).body == b"abcde"


@pytest.mark.usefixtures("_middleware")
def test_apps_run_side_by_side_off_the_loop(serve: Serve) -> None:
    barrier = threading.Barrier(3, timeout=5)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        barrier.wait()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serve(app, interface="wsgi") as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.send(raw.request())
        assert [client.response().body for client in clients] == [b"ok"] * 3
        for client in clients:
            client.close()


@pytest.mark.usefixtures("_middleware")
def test_pieces_are_sent_as_they_come(serve: Serve) -> None:
    gate = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert gate.wait(5)
        yield b"last"

    with serve(app, interface="wsgi") as server, server.connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        assert client.until(b"first") is not None
        gate.set()
        client.until(b"last")
        client.until(b"0\r\n\r\n")


@pytest.mark.usefixtures("_middleware")
def test_app_that_raises_is_500(serve: Serve) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError("as asked")

    with serve(app, interface="wsgi") as server, server.connect() as client:
        assert client.exchange(raw.request()).status == 500
        server.logs.wait_for("Exception in ASGI application")


# The own middleware, without a server.


def call(app: Callable[..., Iterable[bytes]], scope: Scope | None = None, body: Iterable[Event] = ()) -> list[Event]:
    """Call the middleware once and return what it sends."""
    sent: list[Event] = []
    received = iter([*body, {"type": "http.request"}])

    async def receive() -> Event:
        return next(received)

    async def send(event: Event) -> None:
        sent.append(event)

    asyncio.run(WSGIMiddleware(app)(scope or http_scope(), receive, send))
    return sent


def http_scope(**changes: Any) -> Scope:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "https",
        "root_path": "",
        "server": ("example.org", 443),
        "client": ("10.0.0.1", 5000),
        "headers": [],
    }
    return {**scope, **changes}


def environ_of(**changes: Any) -> Environ:
    return build_environ(http_scope(**changes), io.BytesIO())


def test_environ_of_a_plain_request() -> None:
    environ = environ_of(path="/a b", query_string=b"c=%20")
    assert {key: value for key, value in environ.items() if not key.startswith("wsgi.")} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "443",
        "REMOTE_ADDR": "10.0.0.1",
    }
    assert (environ["wsgi.version"], environ["wsgi.url_scheme"]) == ((1, 0), "https")
    assert environ["wsgi.errors"] is sys.stderr


def test_environ_splits_the_root_path_off() -> None:
    environ = environ_of(path="/root/é", root_path="/root")
    assert environ["SCRIPT_NAME"] == "/root"
    assert environ["PATH_INFO"] == "/é".encode().decode("latin-1")


def test_environ_of_a_unix_socket_has_no_port_and_no_client() -> None:
    environ = environ_of(server=("/run/socket", None), client=None)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("/run/socket", "")
    assert "REMOTE_ADDR" not in environ


def test_environ_joins_headers_of_one_name() -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", b"3"),
        (b"x-a", b"1"),
        (b"x-a", b"\xe9"),
    ]
    environ = environ_of(headers=headers)
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "3")
    assert environ["HTTP_X_A"] == "1,\xe9"


def test_iterable_is_closed_even_if_it_breaks_off() -> None:
    closed: list[str] = []

    class Pieces:
        def __iter__(self) -> Any:
            yield b"one"
            raise RuntimeError("as asked")

        def close(self) -> None:
            closed.append("yes")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Pieces()

    with pytest.raises(RuntimeError, match="as asked"):
        call(app)
    assert closed == ["yes"]


def test_head_may_be_replaced_until_the_first_piece() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oh", [("X-A", "1")], sys.exc_info())
        return [b"sorry"]

    assert [event.get("status") or event["body"] for event in call(app)] == [500, b"sorry", b""]


def test_replacing_a_head_that_has_been_sent_raises_the_error() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"one"
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oh", [], sys.exc_info())

    with pytest.raises(ValueError, match="too late"):
        call(app)


def test_start_response_twice_is_an_error() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="twice"):
        call(app)


def test_write_sends_at_once() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"one")
        return [b"two"]

    assert [event.get("body") for event in call(app)] == [None, b"one", b"two", b""]


def test_empty_response_still_has_a_head() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("204 No Content", [])
        return []

    assert [event["type"] for event in call(app)] == ["http.response.start", "http.response.body"]


def test_slow_peer_holds_the_app_up() -> None:
    made: list[int] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        for number in range(3):
            made.append(number)
            yield b"x"

    async def main() -> None:
        gate, blocked = Gate(), asyncio.Event()

        async def receive() -> Event:
            return {"type": "http.request"}

        async def send(event: Event) -> None:
            if event["type"] == "http.response.body":
                blocked.set()
                await gate.wait()

        task = asyncio.create_task(WSGIMiddleware(app)(http_scope(), receive, send))
        await blocked.wait()
        assert made == [0]
        gate.open()
        await task
        assert made == [0, 1, 2]

    asyncio.run(main())

"""Files that cannot be sent, and what a response with a file has in common with all others."""

from __future__ import annotations

import io
import os
import random
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests import raw
from tests.apps import Event, Receive, Scope, Send, Sending, body, hello, start
from tests.conftest import Serve, ServeShared
from tests.sendfile_apps import LARGE, path_send, sized, zero_copy


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A large file and its content."""
    data = random.Random(1).randbytes(LARGE)
    path = tmp_path_factory.mktemp("files") / "lärge file"
    path.write_bytes(data)
    return path, data


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file that holds "0123456789"."""
    path = tmp_path / "small"
    path.write_bytes(b"0123456789")
    return path


# What goes wrong.


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [("missing", FileNotFoundError, 2), ("", IsADirectoryError, 21), ("fifo", OSError, 22), ("socket", OSError, 6)],
)
def test_what_cannot_be_opened_raises_before_anything_is_sent(
    name: str, kind: type[OSError], number: int, tmp_path: Path, serve_shared: ServeShared
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        path = str(tmp_path / name)
        app = Sending(start(headers=sized(10)), path_send(path))
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).status == 500
    error = app.error()
    assert type(error) is kind
    assert (error.errno, error.filename, error.strerror) == (number, path, os.strerror(number))


def test_app_can_answer_instead_of_a_file_that_is_missing(tmp_path: Path, serve_shared: ServeShared) -> None:
    app = Sending(start(), path_send(str(tmp_path / "missing")), body(b"sorry"), reraise=False)
    with serve_shared(app).connect() as client:
        for _ in range(2):
            assert client.exchange(raw.request()).body == b"sorry"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_file_without_permission_raises(small: Path, serve_shared: ServeShared) -> None:
    small.chmod(0)
    app = Sending(start(headers=sized(10)), path_send(str(small)))
    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request()).status == 500
    assert type(app.error()) is PermissionError


BAD_FILES: list[tuple[str, Callable[[Any], Event], type[Exception]]] = [
    ("no path", lambda small: {"type": "http.response.pathsend"}, KeyError),
    ("path is None", lambda small: path_send(None), TypeError),
    ("path is an int", lambda small: path_send(3), TypeError),
    ("path with NUL", lambda small: path_send("/tmp/\0"), OSError),
    ("no file", lambda small: {"type": "http.response.zerocopysend"}, KeyError),
    ("BytesIO", lambda small: zero_copy(io.BytesIO(b"0123456789")), io.UnsupportedOperation),
    ("file is a str", lambda small: zero_copy("small"), AttributeError),
    ("not open", lambda small: zero_copy(-1), OSError),
    ("closed", lambda small: zero_copy(999_999), OSError),
    ("offset is a str", lambda small: zero_copy(small, offset="1"), TypeError),
    ("offset is negative", lambda small: zero_copy(small, offset=-1), ValueError),
    ("count is negative", lambda small: zero_copy(small, count=-1), ValueError),
    ("count is a float", lambda small: zero_copy(small, count=1.5), TypeError),
    ("offset is huge", lambda small: zero_copy(small, offset=1 << 70), ValueError),
]


@pytest.mark.parametrize(("make", "kind"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_bad_values_raise_and_nothing_is_sent(
    make: Callable[[Any], Event], kind: type[Exception], small: Path, serve_shared: ServeShared
) -> None:
    with small.open("rb") as file:
        app = Sending(start(), make(file), body(b"instead"), reraise=False)
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).body == b"instead"
    error = app.error()
    assert isinstance(error, kind), repr(error)


def test_what_has_no_length_cannot_be_sent(serve_shared: ServeShared) -> None:
    reader, writer = os.pipe()
    try:
        app = Sending(start(), zero_copy(reader), body(b"instead"), reraise=False)
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).body == b"instead"
        error = app.error()
        assert isinstance(error, OSError)
        assert error.errno == 22
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("is_path", [True, False], ids=["pathsend", "zerocopysend"])
@pytest.mark.parametrize(
    ("announced", "text"),
    [
        (9, "Response content longer than Content-Length"),
        (11, "Response content shorter than Content-Length"),
    ],
)
def test_length_of_a_file_is_checked_against_content_length(
    announced: int, text: str, is_path: bool, small: Path, serve_shared: ServeShared
) -> None:
    with small.open("rb") as file:
        event = path_send(str(small)) if is_path else zero_copy(file)
        app = Sending(start(headers=sized(announced)), event)
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).status == 500
    error = app.error()
    assert (type(error), str(error)) == (RuntimeError, text)


@pytest.mark.parametrize("status", [204, 304])
def test_response_without_content_takes_no_file(status: int, small: Path, serve_shared: ServeShared) -> None:
    app = Sending(start(status), path_send(str(small)))
    with serve_shared(app).connect() as client:
        client.exchange(raw.request())
    assert isinstance(app.error(), RuntimeError)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_file_that_shrinks_while_it_is_sent_ends_the_connection(
    framing: str, tmp_path: Path, serve_shared: ServeShared
) -> None:
    path = tmp_path / "shrinking"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    app = Sending(start(headers=sized(64 * 1024 * 1024) if framing == "length" else []), path_send(str(path)))
    server = serve_shared(app)
    with server.connect(receive_buffer=4096) as client:
        # What is pipelined behind it must not be taken for the rest.
        client.send(raw.request() + raw.request(target="/next"))
        assert client.response_head().status == 200
        assert app.error() is None
        os.truncate(path, 100)
        rest = client.wait_closed()
        assert len(rest) < 64 * 1024 * 1024
        assert b"HTTP/1.1" not in rest
    server.logs.wait_for("a response was cut off with its file")


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (["path"], "Expected ASGI message 'http.response.start', but got 'http.response.pathsend'."),
        (["copy"], "Expected ASGI message 'http.response.start', but got 'http.response.zerocopysend'."),
        (
            [start(), body(b"", more=True), "path"],
            "Expected ASGI message 'http.response.body', but got 'http.response.pathsend'.",
        ),
        (
            [start(), "path", "path"],
            "Unexpected ASGI message 'http.response.pathsend' sent, after response already completed.",
        ),
        (
            [start(), "copy", body()],
            "Unexpected ASGI message 'http.response.body' sent, after response already completed.",
        ),
    ],
)
def test_files_out_of_turn_are_an_error(events: list[Any], text: str, small: Path, serve_shared: ServeShared) -> None:
    with small.open("rb") as file:
        stands_for = {"path": path_send(str(small)), "copy": zero_copy(file)}
        app = Sending(*(stands_for[event] if isinstance(event, str) else event for event in events))
        with serve_shared(app).connect() as client:
            client.send(raw.request())
            error = app.error()
    assert (type(error), str(error)) == (RuntimeError, text)


# Around it.


def test_files_are_in_the_access_log(small: Path, serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(headers=sized(10)), path_send(str(small))))
    with server.connect() as client:
        client.exchange(raw.request(target="/small"))
    server.logs.wait_for('"GET /small HTTP/1.1" 200', logger_name="uvicorn.access")


def test_slow_client_gets_the_whole_file(large: tuple[Path, bytes], serve: Serve) -> None:
    path, data = large
    app = Sending(start(headers=sized(LARGE)), path_send(str(path)))
    # Each piece renews the deadline, which the whole file exceeds by far.
    with serve(app, timeout_write=0.5) as server, server.connect(receive_buffer=64 * 1024) as client:
        client.send(raw.request())
        client.response_head()
        received = b""
        while len(received) < LARGE:
            received += client.exactly(min(200_000, LARGE - len(received)))
            client.silent_for(0.05) if not client.buffer else None
        assert received == data


def test_client_that_stops_reading_a_file_is_given_up(large: tuple[Path, bytes], serve: Serve) -> None:
    app = Sending(start(headers=sized(LARGE)), path_send(str(large[0])))
    with serve(app, timeout_write=0.3) as server, server.connect(receive_buffer=4096) as client:
        client.send(raw.request())
        client.response_head()
        poller = select.poll()
        # Nothing but a reset is worth waking up for.
        poller.register(client.socket, 0)
        assert poller.poll(5000)
        with pytest.raises(ConnectionResetError):
            client.exactly(LARGE)


def test_other_connections_are_served_while_files_are_sent(
    large: tuple[Path, bytes], serve_shared: ServeShared
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hello":
            await hello(scope, receive, send)
            return
        await send(start(headers=sized(LARGE)))
        await send(path_send(str(large[0])))

    server = serve_shared(app)
    with server.connect() as busy, server.connect() as other:
        busy.send(raw.request() * 5)
        for _ in range(50):
            assert other.exchange(raw.request(target="/hello")).body == b"hello"
        for _ in range(5):
            assert busy.response().body == large[1]


# Frameworks.


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


@pytest.mark.parametrize("middleware", [[], [Middleware(Passing)], [Middleware(GZipMiddleware)]], ids=str)
def test_starlette_file_response(
    middleware: list[Middleware], large: tuple[Path, bytes], serve_shared: ServeShared
) -> None:
    path, data = large
    done: list[str] = []

    async def download(request: Request) -> Response:
        return FileResponse(path, background=BackgroundTask(done.append, request.method))

    app = Starlette(
        routes=[Route("/file", download), Mount("/static", StaticFiles(directory=path.parent))], middleware=middleware
    )
    with serve_shared(app).connect() as client:
        for target in ("/file", "/static/" + "l%C3%A4rge%20file"):
            assert client.exchange(raw.request(target=target)).body == data
            head = client.exchange(raw.request("HEAD", target))
            assert head.header(b"content-length") == str(LARGE).encode()
            part = client.exchange(raw.request(target=target, headers=[("Range", "bytes=100-199")]))
            assert (part.status, part.body) == (206, data[100:200])
            tail = client.exchange(raw.request(target=target, headers=[("Range", "bytes=-7")]))
            assert (tail.status, tail.body) == (206, data[-7:])
            etag = client.exchange(raw.request("HEAD", target)).header(b"etag")
            assert etag is not None
            known = client.exchange(raw.request(target=target, headers=[("If-None-Match", etag.decode())]))
            assert known.status == (304 if target.startswith("/static") else 200)
    assert done[:2] == ["GET", "HEAD"]


def test_missing_static_file_is_404(tmp_path: Path, serve_shared: ServeShared) -> None:
    with serve_shared(Starlette(routes=[Mount("/", StaticFiles(directory=tmp_path))])).connect() as client:
        assert client.exchange(raw.request(target="/missing")).status == 404

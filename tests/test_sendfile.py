"""Files as responses: `http.response.pathsend` and `http.response.zerocopysend`."""

from __future__ import annotations

import io
import os
import random
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
from tests.apps import Event, Headers, Receive, Scope, Send, Sending, body, hello, start
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.processes import memory_kib, needs_proc, open_files, wait_until_idle

# More than any socket buffer of the tests holds at once, and no multiple of anything.
LARGE = 5_000_003
APP = "tests.sendfile_apps:by_query"


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


def sized(count: int) -> Headers:
    return [(b"content-length", str(count).encode())]


def path_send(path: Any) -> Event:
    return {"type": "http.response.pathsend", "path": path}


def zero_copy(file: Any, *, more: bool = False, **options: Any) -> Event:
    return {"type": "http.response.zerocopysend", "file": file, "more_body": more, **options}


# What arrives.


@pytest.mark.parametrize("headers", [sized(LARGE), []], ids=["length", "no length"])
@pytest.mark.parametrize(("version", "framing"), [("1.1", "chunked"), ("1.0", "length")])
def test_path_send_sends_the_whole_file(
    version: str, framing: str, headers: Headers, large: tuple[Path, bytes], serve_shared: ServeShared
) -> None:
    path, data = large
    app = Sending(start(headers=headers), path_send(str(path)))
    with serve_shared(app).connect() as client:
        for _ in range(2 if version == "1.1" else 1):
            response = client.exchange(raw.request(version=version))
            # Of a file the length is known, which spares a 1.0 client the close.
            assert response.framing == ("length" if headers else framing)
            assert response.body == data
            assert app.error() is None


def test_path_send_takes_path_objects_and_relative_paths(
    small: Path, monkeypatch: pytest.MonkeyPatch, serve_shared: ServeShared
) -> None:
    monkeypatch.chdir(small.parent)
    for path in (small, "small", Path("small")):
        with serve_shared(Sending(start(headers=sized(10)), path_send(path))).connect() as client:
            assert client.exchange(raw.request()).body == b"0123456789"


def test_empty_file_is_a_response_without_content(tmp_path: Path, serve_shared: ServeShared) -> None:
    (tmp_path / "empty").touch()
    for headers in (sized(0), []):
        with serve_shared(Sending(start(headers=headers), path_send(str(tmp_path / "empty")))).connect() as client:
            for _ in range(2):
                assert client.exchange(raw.request()).body == b""


def test_head_of_a_file_has_no_content_and_the_connection_goes_on(small: Path, serve_shared: ServeShared) -> None:
    with serve_shared(Sending(start(headers=sized(10)), path_send(str(small)))).connect() as client:
        assert client.exchange(raw.request("HEAD")).header(b"content-length") == b"10"
        assert client.exchange(raw.request()).body == b"0123456789"


def test_pipelined_files_arrive_in_order(small: Path, large: tuple[Path, bytes], serve_shared: ServeShared) -> None:
    path, data = large

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        file, count = (path, LARGE) if scope["path"] == "/large" else (small, 10)
        await send(start(headers=sized(count)))
        await send(path_send(str(file)))

    with serve_shared(app).connect() as client:
        client.send(b"".join(raw.request(target=target) for target in ("/large", "/", "/large", "/")))
        for expected in (data, b"0123456789", data, b"0123456789"):
            assert client.response().body == expected


def test_file_may_wait_for_the_next_tick(small: Path, serve_shared: ServeShared) -> None:
    with serve_shared(Sending(start(headers=sized(10)), None, path_send(str(small)))).connect() as client:
        assert client.exchange(raw.request()).body == b"0123456789"


def test_uds_clients_get_files(large: tuple[Path, bytes], tmp_path: Path, serve: Serve) -> None:
    path, data = large
    uds = str(tmp_path / "socket")
    with serve(Sending(start(headers=sized(LARGE)), path_send(str(path))), uds=uds), raw.Client(uds=uds) as client:
        assert client.exchange(raw.request()).body == data


def test_bodies_and_files_mix(large: tuple[Path, bytes], small: Path, serve_shared: ServeShared) -> None:
    path, data = large
    shared = b"s" * 100_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        with path.open("rb") as file, small.open("rb") as other:
            await send(body(b"first", more=True))
            await send(zero_copy(file, offset=7, count=1_000_000, more=True))
            await send(zero_copy(other, offset=0, more=True))
            await send(body(shared, more=True))
            await send(zero_copy(file, offset=1_000_007, more=True))
            await send(zero_copy(other, offset=9))

    expected = b"first" + data[7:1_000_007] + b"0123456789" + shared + data[1_000_007:] + b"9"
    with serve_shared(app).connect() as client:
        for version in ("1.1", "1.0"):
            response = client.exchange(raw.request(version=version))
            assert response.framing == ("chunked" if version == "1.1" else "close")
            assert response.body == expected


def test_trailers_follow_a_file(small: Path, serve_shared: ServeShared) -> None:
    app = Sending(
        {**start(), "trailers": True},
        path_send(str(small)),
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]},
    )
    with serve_shared(app).connect() as client:
        response = client.exchange(raw.request(headers=[("TE", "trailers")]))
        assert (response.body, response.trailers) == (b"0123456789", [(b"x-sum", b"1")])


def test_part_of_a_file_beyond_4_gib(tmp_path: Path, serve_shared: ServeShared) -> None:
    path = tmp_path / "sparse"
    offset = 5 * 1024**3
    with path.open("wb") as file:
        file.seek(offset)
        file.write(b"end")
    with path.open("rb") as file:
        app = Sending(start(headers=sized(9)), zero_copy(file, offset=offset - 6, count=100))
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).body == b"\0" * 6 + b"end"


# Descriptors and positions.


def test_app_may_close_its_descriptor_when_send_has_returned(
    large: tuple[Path, bytes], serve_shared: ServeShared
) -> None:
    path, data = large

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        fd = os.open(path, os.O_RDONLY)
        await send(start(headers=sized(LARGE)))
        await send(zero_copy(fd))
        os.close(fd)

    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request()).body == data


class OnlyFileno:
    """What has a descriptor and cannot tell a position, or only to those who await it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    async def tell(self) -> int:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize("kind", ["buffered", "unbuffered", "int", "fileno"])
def test_without_an_offset_parts_begin_at_the_position_and_move_it(
    kind: str, small: Path, serve_shared: ServeShared
) -> None:
    fd = os.open(small, os.O_RDONLY)
    files: dict[str, Callable[[], Any]] = {
        "buffered": lambda: os.fdopen(fd, "rb", closefd=False),
        "unbuffered": lambda: os.fdopen(fd, "rb", buffering=0, closefd=False),
        "int": lambda: fd,
        "fileno": lambda: OnlyFileno(fd),
    }
    file = files[kind]()
    try:
        if hasattr(file, "read"):
            assert file.read(2) == b"01"
        else:
            os.lseek(fd, 2, os.SEEK_SET)
        app = Sending(
            start(headers=sized(9)),
            zero_copy(file, count=3, more=True),
            # An offset of its own leaves the position alone.
            zero_copy(file, offset=0, count=1, more=True),
            zero_copy(file, count=None, offset=None),
        )
        with serve_shared(app).connect() as client:
            assert client.exchange(raw.request()).body == b"234" + b"0" + b"56789"
        assert app.error() is None
        assert (file.tell() if hasattr(file, "read") else os.lseek(fd, 0, os.SEEK_CUR)) == 10
    finally:
        os.close(fd)


@needs_proc
def test_no_descriptor_is_left_open(small: Path, large: tuple[Path, bytes], serve_process: ServeProcess) -> None:
    with serve_process(APP, "--no-access-log") as server:

        def target(**query: object) -> str:
            return "/?" + "&".join(f"{name}={value}" for name, value in query.items())

        path = quote(str(large[0]))
        with server.connect() as client:
            client.exchange(raw.request())
            before = open_files(server.pid)
            for _ in range(20):
                assert len(client.exchange(raw.request(target=target(path=small))).body) == 10
                query = target(path=small, offset=1, count=2, times=3)
                assert client.exchange(raw.request(target=query)).body == b"121212"
        for _ in range(5):
            # A client that leaves midway, one way and the other.
            for leave in (raw.Client.close, raw.Client.reset):
                client = server.connect(receive_buffer=4096)
                client.send(raw.request(target=target(path=path)))
                assert client.response_head().status == 200
                leave(client)
        with server.connect() as client:
            client.exchange(raw.request())
            wait_until_idle(server.pid)
            assert open_files(server.pid) == before


@needs_proc
@pytest.mark.timeout(90)
@pytest.mark.parametrize("pipelined", [1, 400])
def test_files_that_are_never_read_cost_neither_memory_nor_many_descriptors(
    pipelined: int, large: tuple[Path, bytes], serve_process: ServeProcess
) -> None:
    count = 50 if pipelined == 1 else 5
    request = raw.request(target="/?path=" + quote(str(large[0])))
    with serve_process(APP, "--no-access-log", "--timeout-graceful-shutdown", "1") as server:
        with server.connect() as client:
            assert len(client.exchange(request).body) == LARGE
        wait_until_idle(server.pid)
        before, files = memory_kib(server.pid), open_files(server.pid)
        clients = [server.connect(receive_buffer=4096) for _ in range(count)]
        try:
            for client in clients:
                client.send(request * pipelined)
            wait_until_idle(server.pid)
            each = (memory_kib(server.pid) - before) / count
            # A socket, and at most 9 files that wait for it.
            descriptors = (open_files(server.pid) - files) / count
            assert (each <= 64, descriptors <= 10) == (True, True), (each, descriptors)
            for client in clients[:2]:
                for _ in range(min(pipelined, 20)):
                    assert len(client.response().body) == LARGE
        finally:
            for client in clients:
                client.reset()


def test_app_that_sends_many_parts_waits_for_its_client(tmp_path: Path, serve: Serve) -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        if scope["path"] == "/hello":
            await hello(scope, receive, send)
            return
        await send(start())
        for _ in range(100):
            await send(zero_copy(file, offset=0, count=8 * 1024 * 1024, more=True))
            sent += 1
        await send(body())

    with (tmp_path / "big").open("w+b") as file:
        file.truncate(8 * 1024 * 1024)
        with serve(app, timeout_graceful_shutdown=1) as server, server.connect(receive_buffer=4096) as client:
            client.send(raw.request())
            assert client.response_head().status == 200
            with server.connect() as other:
                for _ in range(50):
                    # Each is a turn of the loop in which the app could go on.
                    assert other.exchange(raw.request(target="/hello")).body == b"hello"
            # Bounded by the price of a file, not by its length.
            assert 1 <= sent <= 9
            client.reset()


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

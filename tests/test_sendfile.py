"""Files as responses: `http.response.pathsend` and `http.response.zerocopysend`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import raw
from tests.apps import Headers, Receive, Scope, Send, Sending, body, hello, start
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.processes import memory_kib, needs_proc, open_files, wait_until_idle
from tests.sendfile_apps import LARGE, path_send, sized, zero_copy

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
    # So many that what the process itself grows by, some hundred KiB, does not count.
    count = 50 if pipelined == 1 else 20
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

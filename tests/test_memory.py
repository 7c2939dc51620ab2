"""What connections cost the server in memory, measured from outside on a process of its own.

The bounds are the product's promises per connection; a tolerance stands for the allocator and the page size.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Iterator

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.processes import memory_kib, needs_proc, open_files, threads, wait_until_idle
from tests.serving import ServedProcess

pytestmark = [needs_proc, pytest.mark.timeout(90)]

APP = "tests.fault_apps:by_path"
CONNECTIONS = 50
# A connection's own state and an app task that waits, beside the buffers that the promise is about.
STATE_KIB = 24


@contextlib.contextmanager
def many(server: ServedProcess, count: int, receive_buffer: int | None = None) -> Iterator[list[raw.Client]]:
    """Open many connections; all are reset at the end, so that the server is rid of them at once."""
    clients: list[raw.Client] = []
    try:
        for _ in range(count):
            clients.append(server.connect(receive_buffer=receive_buffer))
        yield clients
    finally:
        for client in clients:
            client.reset()


def upload_until_stalled(clients: list[raw.Client], quiet: float = 0.5) -> int:
    """Send on all connections until none takes any more for `quiet` seconds; return the bytes sent."""
    data = b"x" * 64 * 1024
    sent = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.socket.setblocking(False)
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        while ready := selector.select(quiet):
            for key, _ in ready:
                with contextlib.suppress(BlockingIOError):
                    sent += key.data.socket.send(data)
    return sent


def warm_up(server: ServedProcess) -> None:
    """Make the server allocate what it needs once: threads, caches, arenas."""
    with many(server, 20) as clients:
        for client in clients:
            client.exchange(raw.request("POST", "/echo", body=b"x" * 100_000))
            client.exchange(raw.request(target="/long"))
    wait_until_idle(server.pid)


@pytest.mark.differs_from_uvicorn("about 120 KiB each")
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_upload_that_is_never_read_costs_at_most_64_kib(is_chunked: bool, serve_process: ServeProcess) -> None:
    gigabyte = 1024 * 1024 * 1024
    headers = [("Transfer-Encoding", "chunked")] if is_chunked else [("Content-Length", str(gigabyte))]
    with serve_process(APP, "--no-access-log", "--timeout-graceful-shutdown", "1") as server:
        warm_up(server)
        before = memory_kib(server.pid)
        with many(server, CONNECTIONS) as clients:
            for client in clients:
                client.send(raw.request("POST", "/never-read", headers=headers))
                if is_chunked:
                    client.send(b"%x\r\n" % gigabyte)
            sent = upload_until_stalled(clients)
            assert sent > CONNECTIONS * 64 * 1024
            wait_until_idle(server.pid)
            each = (memory_kib(server.pid) - before) / CONNECTIONS
    assert each <= 64 + STATE_KIB


@pytest.mark.parametrize(
    ("target", "count"), [("/gigabyte", CONNECTIONS), ("/huge", CONNECTIONS), ("/small-pieces", 25)]
)
def test_response_that_is_never_read_costs_at_most_256_kib(
    target: str, count: int, serve_process: ServeProcess
) -> None:
    with serve_process(APP, "--no-access-log", "--timeout-graceful-shutdown", "1") as server:
        warm_up(server)
        before = memory_kib(server.pid)
        with many(server, count, receive_buffer=4096) as clients:
            for client in clients:
                client.send(raw.request(target=target))
            wait_until_idle(server.pid)
            for client in clients:
                # Each is really being answered.
                assert client.response_head().status == 200
            each = (memory_kib(server.pid) - before) / count
    assert each <= 256 + STATE_KIB


@pytest.mark.differs_from_uvicorn("about 8 KiB each")
def test_idle_keep_alive_connections_cost_at_most_4_kib(serve_process: ServeProcess) -> None:
    count = 5000
    with serve_process(APP, "--no-access-log", "--timeout-keep-alive", "300", "--backlog", "4096") as server:
        warm_up(server)
        before = memory_kib(server.pid)
        with many(server, count) as clients:
            for client in clients:
                assert client.exchange(raw.request()).body == b"hello"
            wait_until_idle(server.pid)
            each = (memory_kib(server.pid) - before) / count
    assert each <= 4


@pytest.mark.differs_from_uvicorn("each holds a protocol object and a parser")
def test_connections_that_send_nothing_cost_at_most_4_kib(server_name: str, serve_process: ServeProcess) -> None:
    count = 2000
    options = ["--timeout-request-head", "300"] if server_name == "bicorn" else []
    with serve_process(APP, "--no-access-log", "--backlog", "4096", *options) as server:
        warm_up(server)
        before = memory_kib(server.pid)
        with many(server, count):
            wait_until_idle(server.pid)
            each = (memory_kib(server.pid) - before) / count
    assert each <= 4


def exchange_many(server: ServedProcess, batches: int) -> int:
    """Have pipelined batches of mixed requests with the server; return how many requests that was."""
    batch = 100
    mixed = [
        raw.request(),
        raw.request("POST", "/echo", body=b"x" * 1000),
        raw.request("POST", "/echo", chunks=[b"one", b"two"]),
        raw.request(target="/long", headers=[("X-Header", "value")]),
        raw.request("HEAD", "/never-mind?" + "q" * 100),
    ]
    for _ in range(batches):
        with server.connect() as client:
            client.send(b"".join(mixed * (batch // len(mixed))))
            for number in range(batch):
                client.response(method="HEAD" if number % len(mixed) == 4 else "GET")
        with server.connect() as client:
            assert client.exchange(raw.request(target="/raise")).status == 500
        with server.connect() as client:
            client.send(b"malformed\r\n\r\n")
            assert client.response().status == 400
        with server.connect() as client:
            client.send(raw.request(target="/gigabyte"))
            client.response_head()
            client.reset()
    return batches * (batch + 3)


def test_memory_threads_and_files_stay_flat(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--no-access-log") as server:
        exchange_many(server, 100)
        wait_until_idle(server.pid)
        memory, files, running = memory_kib(server.pid), open_files(server.pid), threads(server.pid)
        requests = exchange_many(server, 200)
        wait_until_idle(server.pid)
        assert requests > 20_000
        # 100 bytes a request: less than anything that Python could leak for each.
        assert memory_kib(server.pid) - memory <= 2048
        assert open_files(server.pid) <= files
        assert threads(server.pid) <= running


def test_a_head_of_one_byte_per_packet_takes_linear_time(serve_process: ServeProcess) -> None:
    # Time is under test: a parser that starts again at each byte needs minutes for these 60 KB.
    head = raw.request(headers=[(f"X-{number}", "v" * 600) for number in range(90)])
    with serve_process(APP, "--no-access-log") as server, server.connect() as client:
        since = time.monotonic()
        for at in range(0, len(head), 16):
            client.send(head[at : at + 16])
        assert client.response().status == 200
        assert time.monotonic() - since < 5

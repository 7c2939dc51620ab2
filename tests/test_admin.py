"""The management listener: probes and metrics, from outside, while the service is well and while it is not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests import raw
from tests.admin_apps import sync_endpoints
from tests.apps import Gate, Receive, Scope, Send, body, hello, read_body, start
from tests.conftest import Serve, ServeProcess
from tests.serving import Served, ServedProcess

Value = TypeVar("Value")

APP = "tests.admin_apps:app"
ADMIN_LINE = r"Management listener running on http://127\.0\.0\.1:(\d+)"
RUNNING_LINE = r"Bicorn running on http://127\.0\.0\.1:(\d+)"
ON_ANY_PORT = ("--admin-bind", "127.0.0.1:0")

# The other tests are no less true of a server without one.
needs_listener = pytest.mark.differs_from_uvicorn("has no management listener")
needs_fds = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


class Admin:
    """Asks a management listener."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> raw.Client:
        return raw.Client("127.0.0.1", self.port)

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and content."""
        with self.connect() as client:
            response = client.exchange(raw.request("GET", path, headers=[("Connection", "close")]))
            return response.status, response.body.decode()

    def metrics(self) -> dict[str, float]:
        """Return the value of each series."""
        status, content = self.ask("/metrics")
        assert status == 200
        lines = [line.rpartition(" ") for line in content.splitlines() if not line.startswith("#")]
        return {series: float(value) for series, _, value in lines}

    def wait_for(self, is_so: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Wait until the metrics say so: nobody announces when they do."""
        return _wait_for(self.metrics, is_so)

    def wait_until(self, path: str, status: int, content: str) -> None:
        """Wait until a probe is answered so."""
        _wait_for(lambda: self.ask(path), lambda answer: answer == (status, content))


def _wait_for(ask: Callable[[], Value], is_so: Callable[[Value], bool]) -> Value:
    end = time.monotonic() + 10
    while not is_so(value := ask()):
        assert time.monotonic() < end, value
        time.sleep(0.01)
    return value


def admin_of(server: Served) -> Admin:
    """Return the management listener of a server in this process."""
    line = server.logs.wait_for("Management listener running on").getMessage()
    match = re.search(ADMIN_LINE, line)
    assert match is not None, line
    return Admin(int(match[1]))


@contextlib.contextmanager
def admin_process(
    serve_process: ServeProcess, *arguments: str, app: str = APP, **options: object
) -> Iterator[tuple[ServedProcess, Admin]]:
    """Run a server whose management listener answers; it may not be ready."""
    with serve_process(app, *ON_ANY_PORT, *arguments, wait=False, **options) as server:
        assert server.stderr is not None
        yield server, Admin(int(server.stderr.wait_for(ADMIN_LINE)[1]))


def wait_running(server: ServedProcess) -> None:
    """Wait until the service announces its own port."""
    assert server.stderr is not None
    server.port = int(server.stderr.wait_for(RUNNING_LINE)[1])


def total(metrics: dict[str, float], family: str) -> float:
    """Add up all series of a family."""
    return sum(value for series, value in metrics.items() if series.partition("{")[0] == family)


def requests(metrics: dict[str, float]) -> dict[str, float]:
    """Return how many requests there were by "METHOD status"."""
    pattern = re.compile(r'bicorn_http_requests_total\{method="(.*)",status="(.*)"\}')
    matches = [(pattern.fullmatch(series), value) for series, value in metrics.items()]
    return {f"{match[1]} {match[2]}": value for match, value in matches if match}


@needs_listener
def test_probes_through_a_life(serve_process: ServeProcess, tmp_path: Path) -> None:
    fifo = tmp_path / "startup"
    os.mkfifo(fifo)
    environment = {"STARTUP_FIFO": str(fifo)}
    with admin_process(serve_process, "--drain-delay", "60", environment=environment) as (server, admin):
        # The start-up blocks the loop.
        assert admin.ask("/livez") == (200, "ok")
        assert admin.ask("/readyz") == (503, "starting")
        assert admin.metrics()['bicorn_workers{state="starting"}'] == 1
        fifo.write_text("go on")
        wait_running(server)
        admin.wait_until("/readyz", 200, "ok")
        server.signal(signal.SIGTERM)
        admin.wait_until("/readyz", 503, "draining")
        assert admin.ask("/livez") == (200, "ok")
        assert admin.metrics()["bicorn_draining"] == 1
        # It serves on for as long as the load balancer may need to notice.
        with server.connect() as client:
            assert client.exchange(raw.request()).status == 200
        server.signal(signal.SIGINT)
        server.wait()
        with pytest.raises(ConnectionRefusedError):
            admin.connect()


@needs_listener
def test_a_blocked_loop_is_answered_for(serve: Serve) -> None:
    arrived, unblock = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        unblock.wait(10)
        await hello(scope, receive, send)

    with serve(app, admin_bind="127.0.0.1:0") as server, server.connect() as client, server.connect() as other:
        admin = admin_of(server)
        client.send(raw.request())
        assert arrived.wait(5)
        # A loop that does not begin tasks at once is seen to be blocked when the next request comes.
        other.send(raw.request())
        stall = 'bicorn_loop_stalled_seconds{worker="0"}'
        metrics = admin.wait_for(lambda metrics: metrics[stall] > 0.1)
        assert metrics['bicorn_http_requests_in_flight{worker="0"}'] == 2
        assert admin.ask("/livez") == admin.ask("/readyz") == (200, "ok")
        unblock.set()
        assert client.response().status == other.response().status == 200
        admin.wait_for(lambda metrics: metrics[stall] == 0)


@needs_listener
def test_an_interpreter_that_nobody_gets_is_answered_for(serve_process: ServeProcess) -> None:
    with admin_process(serve_process) as (server, admin):
        wait_running(server)
        with server.connect() as client:
            client.send(raw.request("GET", "/hold"))
            admin.wait_for(lambda metrics: metrics['bicorn_loop_stalled_seconds{worker="0"}'] > 0.2)
            assert admin.ask("/livez") == (200, "ok")
            # Nothing else ends it.
            server.process.kill()


@needs_listener
def test_figures_are_what_was_asked_for(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        content = await read_body(receive)
        if scope["path"] == "/wait":
            await gate.wait()
        if scope["path"] == "/fault":
            raise RuntimeError("the application's fault")
        await send(start(404 if scope["path"] == "/missing" else 200))
        await send(body(content or b"hello"))

    with serve(app, admin_bind="127.0.0.1:0") as server:
        admin = admin_of(server)
        with server.connect() as client, server.connect() as waiting:
            waiting.send(raw.request("GET", "/wait"))
            for _ in range(7):
                assert client.exchange(raw.request()).status == 200
            for method, path in (("POST", "/"), ("POST", "/missing"), ("PUT", "/"), ("BREW", "/")):
                client.exchange(raw.request(method, path, body=b"12345"))
            assert client.exchange(raw.request("GET", "/fault")).status == 500
            in_flight = 'bicorn_http_requests_in_flight{worker="0"}'
            metrics = admin.wait_for(lambda metrics: metrics[in_flight] == 1)
            expected = {"GET 200": 7, "GET 500": 1, "POST 200": 1, "POST 404": 1, "PUT 200": 1, "other 200": 1}
            assert requests(metrics) == expected
            assert total(metrics, "bicorn_http_request_duration_seconds_count") == 12
            assert metrics["bicorn_http_request_content_bytes_total"] == 20
            # The first of 13 exchanges, and the ninth.
            assert metrics["bicorn_handoff_wait_seconds_count"] == 2
            # The fault has closed its own.
            assert metrics['bicorn_connections{worker="0",protocol="http/1"}'] == 1
            gate.open()
            assert waiting.response().status == 200
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n")
            assert client.response().status == 400
        metrics = admin.wait_for(lambda metrics: total(metrics, "bicorn_connections") == 0)
        assert requests(metrics) == {**expected, "GET 200": 8, "other 400": 1}
        assert metrics['bicorn_connections_accepted_total{worker="0"}'] == 3
        # The 21 bytes of the answer to the fault are the application's only as far as it asked for them.
        assert metrics["bicorn_http_response_content_bytes_total"] == 8 * 5 + 4 * 5 + len("Internal Server Error")


@needs_listener
def test_one_scrape_tells_of_all_workers(serve_process: ServeProcess) -> None:
    with admin_process(serve_process, "--workers", "2") as (server, admin):
        wait_running(server)
        admin.wait_for(lambda metrics: metrics['bicorn_workers{state="ready"}'] == 2)
        processes: set[int] = set()
        asked = 0
        while len(processes) < 2:
            assert asked < 1_000, "one worker answers everything"
            with server.connect() as client:
                client.send(raw.request("GET", "/process"))
                processes.add(int(client.response().body))
            asked += 1
        scrapes = [admin.wait_for(lambda metrics: requests(metrics) == {"GET 200": asked}) for _ in range(10)]
        for metrics in scrapes:
            assert total(metrics, "bicorn_connections_accepted_total") == asked
            assert total(metrics, "bicorn_http_request_duration_seconds_count") == asked
        os.kill(processes.pop(), signal.SIGKILL)
        replaced = 'bicorn_worker_restarts_total{cause="signal"}'
        metrics = admin.wait_for(lambda m: m[replaced] == 1 and m['bicorn_workers{state="ready"}'] == 2)
        # What it has served is not forgotten.
        assert requests(metrics) == {"GET 200": asked}


@needs_listener
def test_endpoint_threads_are_told_of(serve: Serve) -> None:
    with serve(sync_endpoints, admin_bind="127.0.0.1:0") as server, server.connect() as client:
        admin = admin_of(server)
        limit = admin.metrics()['bicorn_endpoint_threads_limit{worker="0"}']
        assert limit == 40
        for _ in range(3):
            assert client.exchange(raw.request()).body == b"plain"
        idle = admin.wait_for(lambda metrics: metrics['bicorn_endpoint_threads_busy{worker="0"}'] == 0)
        assert idle['bicorn_endpoint_jobs_total{worker="0"}'] == 3
        assert idle['bicorn_endpoint_threads{worker="0"}'] >= 1
        assert idle['bicorn_endpoint_jobs_queued{worker="0"}'] == 0
        assert idle['bicorn_endpoint_wait_seconds_total{worker="0"}'] > 0


@needs_listener
def test_it_listens_on_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with serve(hello, admin_bind=str(path)) as server:
        server.logs.wait_for(f"Management listener running on {path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(raw.request("GET", "/livez", headers=[("Connection", "close")]))
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
            assert answer.endswith(b"\r\n\r\nok"), answer
    assert not path.exists()


@needs_listener
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_the_applications_port_is_the_applications(serve: Serve, path: str) -> None:
    with serve(hello, admin_bind="127.0.0.1:0") as server, server.connect() as client:
        assert client.exchange(raw.request("GET", path)).body == b"hello"
        assert admin_of(server).ask("/")[0] == 404


def test_without_the_option_there_is_no_listener(serve: Serve) -> None:
    with serve(hello) as server:
        assert not any("Management" in message for message in server.logs.messages)
        assert "bicorn-admin" not in _thread_names()


@needs_listener
def test_garbage_and_crowds_are_no_harm_to_the_service(serve: Serve) -> None:
    with serve(hello, admin_bind="127.0.0.1:0") as server, server.connect() as client, contextlib.ExitStack() as crowd:
        admin = admin_of(server)
        for number in range(400):
            other = crowd.enter_context(admin.connect())
            if number % 4 == 0:
                # Those that are closed to make room may be gone already.
                with contextlib.suppress(OSError):
                    other.send(os.urandom(200))
        for _ in range(10):
            assert admin.ask("/livez") == (200, "ok")
            assert client.exchange(raw.request()).status == 200


@needs_listener
def test_it_goes_on_after_descriptors_ran_out(serve_process: ServeProcess) -> None:
    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    with admin_process(serve_process, preexec=few_descriptors) as (server, admin):
        wait_running(server)
        crowd = [socket.create_connection(("127.0.0.1", admin.port), timeout=5) for _ in range(60)]
        for client in crowd:
            client.close()
        admin.wait_until("/livez", 200, "ok")
        with server.connect() as client:
            assert client.exchange(raw.request()).status == 200


@needs_listener
def test_an_address_in_use_ends_the_start(serve_process: ServeProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve_process(APP, "--admin-bind", f"127.0.0.1:{port}", wait=False) as server:
            assert server.stderr is not None
            server.stderr.wait_for(rf"cannot use --admin-bind 127\.0\.0\.1:{port}: .*in use")
            assert server.wait() == 3


@needs_listener
@needs_fds
def test_nothing_is_left_of_many_starts(serve: Serve) -> None:
    def left() -> tuple[int, list[str], int]:
        # The board goes with the server, which is part of a cycle.
        gc.collect()
        mappings = Path("/proc/self/maps").read_text().count("bicorn-board")
        return len(os.listdir("/proc/self/fd")), _thread_names(), mappings

    def once() -> None:
        with serve(hello, admin_bind="127.0.0.1:0") as server:
            assert admin_of(server).ask("/readyz") == (200, "ok")

    once()
    before = left()
    for _ in range(20):
        once()
    assert left() == before


def _thread_names() -> list[str]:
    """Name our threads: other libraries' come and go as they like."""
    if sys.platform != "linux":
        names = [thread.name for thread in threading.enumerate()]
    else:
        names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sorted(name for name in names if name.startswith("bicorn"))


@needs_listener
def test_a_keep_alive_scraper_keeps_its_connection(serve: Serve) -> None:
    with serve(hello, admin_bind="127.0.0.1:0") as server, admin_of(server).connect() as client:
        for _ in range(5):
            response = client.exchange(raw.request("GET", "/metrics"))
            assert response.status == 200
            assert response.header(b"content-type") == b"text/plain; version=0.0.4; charset=utf-8"
            assert not response.closes


def test_a_cancelled_server_leaves_no_listener(serve: Serve) -> None:
    from bicorn import Config, Server

    async def main() -> int:
        config = Config(hello, port=0, lifespan="off", log_config=None, admin_bind="127.0.0.1:0")
        server = Server(config)
        task = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return _thread_names().count("bicorn-admin")

    assert asyncio.run(main()) == 0

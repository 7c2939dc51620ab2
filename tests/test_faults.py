"""Faults of the app, of the process's limits and of its outputs: a request may suffer, the server may not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import select
import time
from pathlib import Path

import pytest

from tests import raw
from tests.apps import Receive, Scope, Send, body, hello, length, read_body, start, turn_loop
from tests.conftest import Serve, ServeProcess, ServeShared
from tests.processes import cpu_seconds, needs_proc, open_files, wait_until_idle
from tests.serving import Served, ServedProcess

APP = "tests.fault_apps:by_path"


def assert_serves(server: Served | ServedProcess) -> None:
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


# The app

BASE_EXCEPTIONS = [SystemExit(7), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), BaseException("base")]


@pytest.mark.parity
@pytest.mark.parametrize("error", BASE_EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "after a turn of the loop"])
def test_base_exception_in_a_request_is_500_and_the_server_goes_on(
    error: BaseException, is_late: bool, serve: Serve
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            if is_late:
                await read_body(receive)
                await turn_loop()
            raise error
        await hello(scope, receive, send)

    # A server of its own: should it end, the other tests keep theirs.
    with serve(app) as server:
        with server.connect() as client:
            response = client.exchange(raw.request(target="/raise"))
            assert (response.status, response.body) == (500, b"Internal Server Error")
        record = server.logs.wait_for("Exception in ASGI application\n")
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert_serves(server)


@pytest.mark.parity
@pytest.mark.parametrize("error", BASE_EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_base_exception_after_the_response_changes_nothing(error: BaseException, serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        if scope["path"] == "/raise":
            raise error

    with serve(app) as server:
        with server.connect() as client:
            assert client.exchange(raw.request(target="/raise")).body == b"hello"
            client.wait_closed()
        assert_serves(server)


@pytest.mark.parity
def test_recursion_error_is_500(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            await app(scope, receive, send)
        await hello(scope, receive, send)

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request(target="/raise")).status == 500
    assert_serves(server)


@pytest.mark.parity
def test_exception_that_cannot_be_printed_is_500(serve_shared: ServeShared) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise Unprintable
        await hello(scope, receive, send)

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request(target="/raise")).status == 500
    assert_serves(server)


class BrokenHandler(logging.Handler):
    """A handler that lets its error out, as those that override `handleError` do."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError("broken handler")


@pytest.mark.parity
def test_access_log_handler_that_raises_harms_one_request_at_most(serve_shared: ServeShared) -> None:
    server = serve_shared(hello)
    broken = BrokenHandler()
    logging.getLogger("uvicorn.access").addHandler(broken)
    # For uvicorn it is an error in send(), after which it can only close.
    with server.connect() as client, contextlib.suppress(raw.Closed):
        assert client.exchange(raw.request()).status in (200, 500)
    logging.getLogger("uvicorn.access").removeHandler(broken)
    assert_serves(server)


@pytest.mark.parity
@pytest.mark.parametrize("value", [0, "", False, [], {"a": 1}, "text"], ids=repr)
def test_any_returned_value_but_none_is_logged(value: object, serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> object:
        await hello(scope, receive, send)
        return value

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
        assert client.wait_closed() == b""
    server.logs.wait_for(f"ASGI callable should return None, but returned '{value}'.")


@pytest.mark.parity
def test_app_that_is_not_a_coroutine_function_is_500(serve: Serve) -> None:
    class App:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)

    application = App()
    with serve(application) as server:
        assert_serves(server)
        # What a wrong decorator makes of an app.
        setattr(App, "__call__", lambda self, scope, receive, send: None)  # noqa: B010  # wrong on purpose
        with server.connect() as client:
            assert client.exchange(raw.request()).status == 500


@pytest.mark.parity
@pytest.mark.parametrize(
    "event",
    [
        {"type": "http.response.body", "body": "text"},
        {"type": "http.response.body", "body": None},
        {"type": "http.response.body", "body": 5},
    ],
    ids=["str", "None", "int"],
)
def test_body_of_wrong_type_raises_and_never_completes(event: dict[str, object], serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/wrong":
            await hello(scope, receive, send)
            return
        await send(start(200, [length(b"12345")]))
        await send(event)

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request(target="/wrong"))
        with contextlib.suppress(raw.Closed):
            assert client.response().status == 500
        client.wait_closed()
    server.logs.wait_for("Exception in ASGI application\n")
    assert_serves(server)


@pytest.mark.parity
@pytest.mark.parametrize("event", [None, "http.response.start", 5, []], ids=repr)
def test_event_that_is_no_dict_raises(event: object, serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(event)  # type: ignore[arg-type]  # wrong on purpose

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).status == 500
    server.logs.wait_for("Exception in ASGI application\n")


# The process


def limit_open_files(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@needs_proc
@pytest.mark.parity
def test_out_of_descriptors_is_neither_a_spin_nor_the_end(serve_process: ServeProcess) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve_process(APP, "--no-access-log", preexec=lambda: limit_open_files(64)))
        assert_serves(server)
        first = stack.enter_context(server.connect())
        assert first.exchange(raw.request()).body == b"hello"
        clients = [stack.enter_context(server.connect()) for _ in range(120)]
        for client in clients:
            client.send(raw.request())
        # Time is under test: a server that spins on accept() burns all of this second.
        before = cpu_seconds(server.pid)
        time.sleep(1)
        assert cpu_seconds(server.pid) - before <= 0.1
        # Whoever is in is served all the same.
        served = [client for client in clients if select.select([client.socket], [], [], 0)[0]]
        assert len(served) >= 20
        for client in clients:
            client.close()
        first.close()
        since = time.monotonic()
        while time.monotonic() - since < 3:
            with contextlib.suppress(raw.BadResponse, OSError), server.connect(timeout=1) as client:
                if client.exchange(raw.request()).status == 200:
                    break
        else:
            raise AssertionError("no recovery within 3 s")
        assert_serves(server)


@pytest.mark.parity
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_stdout_on_a_full_disk_harms_no_request(serve_process: ServeProcess) -> None:
    with open("/dev/full", "wb") as full, serve_process(APP, stdout=full) as server, server.connect() as client:
        for number in range(200):
            assert client.exchange(raw.request(target=f"/{number}")).body == b"hello"


@pytest.mark.parity
def test_closed_stdout_harms_no_request(serve_process: ServeProcess) -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as pipe, serve_process(APP, stdout=pipe) as server:
        os.close(reader)
        with server.connect() as client:
            for number in range(200):
                assert client.exchange(raw.request(target=f"/{number}")).body == b"hello"


@pytest.mark.differs_from_uvicorn("blocks in write() once the pipe is full")
def test_stdout_that_nobody_reads_blocks_no_request(serve_process: ServeProcess) -> None:
    reader, writer = os.pipe()
    long_path = "/" + "x" * 2000
    try:
        with open(writer, "wb") as pipe, serve_process(APP, stdout=pipe) as server:
            with server.connect(timeout=2) as client:
                # 1 MB of lines for a pipe that holds 64 KiB.
                for _ in range(500):
                    assert client.exchange(raw.request(target=long_path)).body == b"hello"
            assert_serves(server)
            # When somebody reads again, whole lines come out.
            data = os.read(reader, 64 * 1024)
            assert data.startswith(b"INFO:     127.0.0.1:")
    finally:
        os.close(reader)


@needs_proc
@pytest.mark.parity
def test_dead_and_half_closed_peers_burn_no_cpu(serve_process: ServeProcess) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve_process(APP, "--no-access-log", "--timeout-graceful-shutdown", "1"))
        assert_serves(server)
        for number in range(60):
            client = stack.enter_context(server.connect())
            client.send(raw.request("POST", "/never-read", headers=[("Content-Length", "100")]) + b"x" * (number % 10))
            (client.half_close, client.reset, client.close)[number % 3]()
        wait_until_idle(server.pid)
        before = cpu_seconds(server.pid)
        # Time is under test: half a second of nothing.
        time.sleep(0.5)
        assert cpu_seconds(server.pid) - before <= 0.03


@pytest.mark.parity
def test_storm_of_resets_leaves_the_server_whole(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/storm":
            await send(start())
            for _ in range(20):
                await send(body(b"x" * 10_000, more=True))
                await asyncio.sleep(0)
            await send(body())
        else:
            await hello(scope, receive, send)

    server = serve_shared(app)
    for number in range(300):
        with server.connect() as client:
            client.send(raw.request("POST", "/storm", body=b"x" * 1000)[: 20 + number * 5])
            if number % 2:
                client.reset()
    assert_serves(server)
    assert [m for m in server.logs.messages if "Exception" in m] == []


@pytest.mark.parity
def test_development_mode_has_nothing_to_warn_about(serve_process: ServeProcess) -> None:
    # asyncio's debug mode, unclosed resources, coroutines never awaited, and each warning an error.
    environment = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error,ignore::DeprecationWarning"}
    with serve_process(APP, "--loop", "asyncio", "--no-access-log", environment=environment) as server:
        for target in ("/", "/echo", "/long"):
            with server.connect() as client:
                client.send(raw.request("POST", target, body=b"hello"))
                client.response_head()
                if target == "/long":
                    client.reset()
        assert_serves(server)
    assert server.stderr is not None
    lines = server.stderr.text.splitlines()
    # asyncio tells of slow callbacks: the machine's doing.
    assert [line for line in lines if not line.startswith(("INFO: ", "Executing "))] == []


@needs_proc
@pytest.mark.parity
def test_slow_heads_do_not_slow_the_others(serve_process: ServeProcess) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve_process(APP, "--no-access-log", "--backlog", "4096"))
        slow = [stack.enter_context(server.connect()) for _ in range(500)]
        with server.connect() as honest:
            # Time is under test: each honest answer is waited for, while 500 others send one byte.
            worst = 0.0
            for byte in b"GET / HTTP/1.1\r\n":
                for client in slow:
                    client.send(bytes([byte]))
                since = time.monotonic()
                assert honest.exchange(raw.request()).body == b"hello"
                worst = max(worst, time.monotonic() - since)
        assert worst < 0.5
        for client in slow:
            client.send(b"Host: test\r\n\r\n")
        assert all(client.response().body == b"hello" for client in slow)


@needs_proc
@pytest.mark.parity
def test_connections_that_come_and_go_leave_nothing(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--no-access-log") as server:
        assert_serves(server)
        wait_until_idle(server.pid)
        before = open_files(server.pid)
        for number in range(1000):
            with server.connect() as client:
                if number % 3:
                    client.send(raw.request())
                if number % 3 == 2:
                    client.response()
                (client.reset if number % 2 else client.close)()
        assert_serves(server)
        wait_until_idle(server.pid)
        assert open_files(server.pid) <= before

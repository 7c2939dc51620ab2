"""Idioms of programs that embed a server: threads that poll `started`, foreign loops, own sockets, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
import uvloop

from tests import raw
from tests.apps import Receive, Scope, Send, hello
from tests.embedding import ask, make, make_started, port_of, started

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


pytestmark = pytest.mark.usefixtures("loggers_restored")


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine in each kind of loop."""

    def run_in_loop(main: Any) -> Any:
        loop = LOOPS[request.param]()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run_in_loop


class ServerThread(threading.Thread):
    """The fixture of a thousand test suites, as they write it."""

    def __init__(self, server: Any) -> None:
        super().__init__(daemon=True)
        self.server = server

    def run(self) -> None:
        self.server.run()

    def __enter__(self) -> ServerThread:
        self.start()
        deadline = time.monotonic() + 10
        # This idiom itself is the test: programs poll.
        while not self.server.started:
            assert self.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.001)
        return self

    def __exit__(self, *error: object) -> None:
        self.server.should_exit = True
        self.join(10)
        assert not self.is_alive()


# Threads.


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "auto", "none"])
def test_thread_that_polls_started(module: ModuleType, loop: str) -> None:
    server = module.Server(module.Config(hello, host="127.0.0.1", port=0, log_level="error", loop=loop))
    with ServerThread(server):
        assert ask(port_of(server)) == b"hello"


@pytest.mark.parametrize("how", ["assigned", "overridden"])
def test_install_signal_handlers_may_be_replaced(module: ModuleType, how: str) -> None:
    config = module.Config(hello, port=0, log_config=None)
    if how == "assigned":
        server = module.Server(config)
        server.install_signal_handlers = lambda: None
    else:
        server = type("Quiet", (module.Server,), {"install_signal_handlers": lambda self: None})(config)
    with ServerThread(server):
        assert ask(port_of(server)) == b"hello"


def test_servers_in_threads_and_in_the_main_loop_at_once(module: ModuleType) -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.add(asyncio.get_running_loop())
        await hello(scope, receive, send)

    in_threads = [make(module, app, loop=loop) for loop in ("asyncio", "uvloop", "asyncio")]

    async def main() -> list[bytes]:
        here = make(module, app)
        async with started(here):
            return [await asyncio.to_thread(ask, port_of(server)) for server in (*in_threads, here)]

    with contextlib.ExitStack() as stack:
        for server in in_threads:
            stack.enter_context(ServerThread(server))
        assert asyncio.run(main()) == [b"hello"] * 4
    assert len(loops) == 4


def test_a_server_may_serve_again(module: ModuleType) -> None:
    server = make(module)
    for _ in range(2):
        server.started = server.should_exit = False
        with ServerThread(server):
            assert ask(port_of(server)) == b"hello"


# Somebody else's loop.


def test_serve_in_a_loop_that_already_runs(module: ModuleType, run: Any) -> None:
    # A notebook: its loop runs for ever, and each cell is a task.
    async def first_cell(server: Any) -> asyncio.Task[None]:
        return asyncio.create_task(server.serve())

    async def last_cell(server: Any, serving: asyncio.Task[None]) -> None:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)

    async def main() -> None:
        for _ in range(2):
            server = make_started(module)
            serving = await asyncio.create_task(first_cell(server))
            await asyncio.wait_for(server.has_started.wait(), 10)
            assert await asyncio.to_thread(ask, port_of(server)) == b"hello"
            await asyncio.create_task(last_cell(server, serving))

    run(main())


def test_serve_in_a_task_group_of_anyio(module: ModuleType) -> None:
    async def main() -> bytes:
        server = make_started(module)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve)
            await server.has_started.wait()
            answer = await anyio.to_thread.run_sync(ask, port_of(server))
            group.cancel_scope.cancel()
        close_listeners(server)
        return answer

    assert anyio.run(main) == b"hello"


def test_serve_may_be_awaited_with_a_time_limit(module: ModuleType, run: Any) -> None:
    async def main() -> None:
        server = make_started(module)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(server.serve(), 0.3)
        close_listeners(server)

    run(main())


def close_listeners(server: Any) -> None:
    """Close what uvicorn leaves open when it is cancelled; a loop of uvloop would not close."""
    for one in server.servers:
        one.close()


def test_cancellation_is_passed_on(module: ModuleType, run: Any) -> None:
    async def main() -> None:
        server = make_started(module)
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        close_listeners(server)

    run(main())


def test_cancellation_in_start_up_is_passed_on(module: ModuleType, run: Any) -> None:
    begun = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(make(module, app, lifespan="on").serve())
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The app's own task is the loop's to end.
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            left.cancel()

    run(main())


# Pieces.


def test_sockets_of_the_caller(module: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = str(tmp_path / "socket")

    async def main() -> None:
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(path)
        # Listening, and only bound.
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        sockets = [socket.create_server(("127.0.0.1", 0)), bound, unix]
        ports = [one.getsockname()[1] for one in sockets[:2]]
        server = make_started(module)
        task = asyncio.create_task(server.serve(sockets=sockets))
        await asyncio.wait_for(server.has_started.wait(), 10)
        assert len(server.servers) == 3
        assert [one.sockets[0].getsockname() for one in server.servers[2:]] == [path]
        assert [await asyncio.to_thread(ask, port) for port in ports] == [b"hello", b"hello"]
        assert await asyncio.to_thread(ask_unix, path) == b"HTTP/1.1 200 OK"
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        assert [one.fileno() for one in sockets] == [-1, -1, -1]
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                raw.Client(port=port)

    asyncio.run(main())
    assert not any("running on" in message for message in caplog.messages)


def ask_unix(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(path)
        client.sendall(raw.request())
        return client.recv(65536).partition(b"\r\n")[0]


def test_pieces_of_a_life_may_be_used_twice(module: ModuleType, run: Any) -> None:
    async def main() -> None:
        server = make(module)
        async with started(server):
            assert server.config.loaded
            assert server.started
            assert await asyncio.to_thread(ask, port_of(server)) == b"hello"
        # What is loaded is not loaded again.
        with pytest.raises(AssertionError):
            server.config.load()
        other = module.Server(server.config)
        other.lifespan = other.config.lifespan_class(other.config)
        await other.startup()
        assert await asyncio.to_thread(ask, port_of(other)) == b"hello"
        await other.shutdown()

    run(main())


def test_a_failed_lifespan_is_seen_by_who_drives_it(module: ModuleType, run: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        config = module.Config(app, log_config=None, lifespan="on")
        config.load()
        lifespan = config.lifespan_class(config)
        await lifespan.startup()
        assert (lifespan.should_exit, lifespan.startup_failed, lifespan.error_occurred) == (True, True, False)

    run(main())


def test_listeners_may_be_closed_by_the_caller(module: ModuleType, run: Any) -> None:
    async def main() -> None:
        server = make(module)
        async with started(server):
            port = port_of(server)
            for one in server.servers:
                assert one.is_serving()
                one.close()
                await one.wait_closed()
                assert not one.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.to_thread(raw.Client, port=port)

    run(main())


def test_options_may_be_set_until_they_are_loaded(module: ModuleType, run: Any) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await hello(scope, receive, send)

    async def main() -> None:
        config = module.Config(hello, log_config=None, lifespan="on")
        config.port, config.app, config.root_path, config.lifespan = 0, app, "/api", "off"
        server = module.Server(config)
        server.capture_signals = contextlib.nullcontext
        async with started(server):
            await asyncio.to_thread(ask, port_of(server))

    run(main())
    assert [scope["root_path"] for scope in scopes] == ["/api"]


def test_what_load_made_may_be_replaced_until_startup(module: ModuleType, run: Any) -> None:
    # Programs wrap the app that is loaded, and add headers.
    async def main() -> raw.Response:
        server = make(module)
        server.config.load()
        loaded = server.config.loaded_app
        seen: list[str] = []

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await loaded(scope, receive, send)

        server.config.loaded_app = wrapped
        server.config.encoded_headers = [(b"x-added", b"yes")]
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        # uvicorn's tick makes the headers.
        await server.on_tick(0)
        try:
            return await asyncio.to_thread(exchange, port_of(server))
        finally:
            await server.shutdown()
            assert seen == ["/"]

    def exchange(port: int) -> raw.Response:
        with raw.Client(port=port) as client:
            return client.exchange(raw.request())

    response = run(main())
    assert (response.body, response.header(b"x-added")) == (b"hello", b"yes")

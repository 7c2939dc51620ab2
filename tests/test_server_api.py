"""`Server` inside another program: its own loop or the caller's, its thread or the main one, whole or in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import subprocess
import sys
import threading
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import bicorn
from tests import raw
from tests.apps import Gate, Receive, Scope, Send, body, hello, start
from tests.conftest import Serve
from tests.embedding import ask, make, make_started, port_of, started

pytestmark = pytest.mark.usefixtures("loggers_restored")


# Life in somebody else's loop.


@pytest.mark.parity
def test_pieces_can_be_called_one_by_one(module: ModuleType) -> None:
    async def main() -> bytes:
        server = make(module)
        async with started(server):
            assert server.started
            return await asyncio.to_thread(ask, port_of(server))

    assert asyncio.run(main()) == b"hello"


@pytest.mark.parity
def test_serve_runs_beside_other_tasks_of_the_loop(module: ModuleType) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await hello(scope, receive, send)

    async def main() -> None:
        server = make_started(module, app)
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        assert await asyncio.to_thread(ask, port_of(server)) == b"hello"
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_cancelling_serve_is_passed_on_and_frees_the_port() -> None:
    async def main() -> int:
        server = make_started(bicorn)
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        port = port_of(server)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return port

    port = asyncio.run(main())
    with pytest.raises(ConnectionRefusedError):
        raw.Client(port=port)


def test_cancelled_serve_leaves_no_thread_and_no_connection() -> None:
    before = threading.active_count()
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"part", more=True))
        await gate.wait()

    async def main() -> raw.Client:
        server = make_started(bicorn, app)
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        client = raw.Client(port=port_of(server))
        client.send(raw.request())
        await asyncio.to_thread(client.response_head)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Seen by the peer although the task of the request is still there.
        await asyncio.to_thread(client.wait_closed)
        gate.open()
        return client

    asyncio.run(main()).close()
    assert threading.active_count() <= before


@pytest.mark.parity
def test_two_servers_share_a_loop(module: ModuleType) -> None:
    async def main() -> set[bytes]:
        first, second = make(module), make(module)
        async with started(first), started(second):
            return {await asyncio.to_thread(ask, port_of(server)) for server in (first, second)}

    assert asyncio.run(main()) == {b"hello"}


@pytest.mark.parity
@pytest.mark.parametrize("when", ["before serve", "in startup", "while serving"])
def test_should_exit_ends_serve_whenever_it_is_set(module: ModuleType, when: str) -> None:
    async def main() -> Any:
        server = make_started(module)
        if when == "before serve":
            server.should_exit = True
        if when == "in startup":
            startup = server.startup

            async def startup_and_exit(sockets: Any = None) -> None:
                await startup(sockets=sockets)
                server.should_exit = True

            server.startup = startup_and_exit
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        if when == "while serving":
            threading.Thread(target=setattr, args=(server, "should_exit", True)).start()
        await asyncio.wait_for(task, 10)
        return server

    server = asyncio.run(main())
    # The loop is closed, and nobody waits any more.
    server.should_exit = server.force_exit = True


@pytest.mark.parity
def test_server_in_a_thread_is_stopped_by_should_exit(module: ModuleType) -> None:
    # The idiom of test suites, but for their polling of `started`.
    server = make(module)
    begun = threading.Event()
    startup = server.startup

    async def startup_and_tell(sockets: Any = None) -> None:
        await startup(sockets=sockets)
        begun.set()

    server.startup = startup_and_tell
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert begun.wait(10)
    assert ask(port_of(server)) == b"hello"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parity
def test_main_loop_may_be_replaced(module: ModuleType) -> None:
    async def main() -> bytes:
        server = make(module)
        answers: list[bytes] = []

        async def main_loop() -> None:
            answers.append(await asyncio.to_thread(ask, port_of(server)))

        server.main_loop = main_loop
        await server.serve()
        return answers[0]

    assert asyncio.run(main()) == b"hello"


@pytest.mark.parity
def test_overridden_on_tick_is_called_and_decides(module: ModuleType) -> None:
    ticks: list[int] = []

    class Ticking(module.Server):  # type: ignore[misc, name-defined]
        async def on_tick(self, counter: int) -> bool:
            ticks.append(counter)
            return counter == 2

    async def main() -> None:
        server = Ticking(module.Config(hello, port=0, lifespan="off", log_config=None))
        server.capture_signals = contextlib.nullcontext
        await server.serve()

    asyncio.run(main())
    assert ticks == [0, 1, 2]


def test_run_in_a_running_loop_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"^asyncio\.run\(\) cannot be called from a running event loop"):
            make(bicorn).run()

    asyncio.run(main())


# State.


@pytest.mark.parity
def test_state_counts_connections_tasks_and_requests(module: ModuleType) -> None:
    counts: list[tuple[int, int, int]] = []

    async def main() -> None:
        server = make(module, proxy_headers=False)

        def count() -> None:
            state = server.server_state
            counts.append((len(state.connections), len(state.tasks), state.total_requests))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            count()
            await hello(scope, receive, send)

        server.config.app = app
        count()
        async with started(server):
            for _ in range(2):
                await asyncio.to_thread(ask, port_of(server))

    asyncio.run(main())
    assert counts[0] == (0, 0, 0)
    # An earlier connection may be on its way out.
    assert [(tasks, total) for _, tasks, total in counts[1:]] == [(1, 0), (1, 1)]
    assert counts[1][0] == 1


@pytest.mark.parity
def test_servers_look_like_asyncio_servers(module: ModuleType) -> None:
    async def main() -> None:
        server = make(module)
        async with started(server):
            (one,) = server.servers
            assert one.is_serving()
            assert isinstance(one.sockets, tuple)
            one.close()
            assert one.sockets == ()
            assert not one.is_serving()
            await one.wait_closed()

    asyncio.run(main())


@pytest.mark.parity
@pytest.mark.parametrize(("jitter", "allowed"), [(0, {10}), (5, set(range(10, 16)))])
def test_request_limit_is_drawn_once(module: ModuleType, jitter: int, allowed: set[int]) -> None:
    server = make(module, limit_max_requests=10, limit_max_requests_jitter=jitter)
    assert server.limit_max_requests in allowed
    assert {server.limit_max_requests for _ in range(10)} == {server.limit_max_requests}
    assert make(module).limit_max_requests is None


@pytest.mark.parity
def test_request_limit_ends_the_server(serve: Serve) -> None:
    with serve(hello, limit_max_requests=2) as server:
        for _ in range(2):
            ask(server.port)
        server.join()
        server.logs.wait_for("Maximum request limit of 2 exceeded. Terminating process.")


# Logs, and what is left.


@pytest.mark.parity
def test_lines_and_their_colours(module: ModuleType, server_name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> int:
        server = make(module)
        port = 0

        async def main_loop() -> None:
            nonlocal port
            port = port_of(server)

        server.main_loop = main_loop
        await server.serve()
        return port

    port, pid, name = asyncio.run(main()), os.getpid(), server_name.capitalize()
    assert caplog.messages == [
        f"Started server process [{pid}]",
        f"{name} running on http://127.0.0.1:{port} (Press CTRL+C to quit)",
        "Shutting down",
        f"Finished server process [{pid}]",
    ]
    assert [getattr(record, "color_message", None) for record in caplog.records] == [
        "Started server process [\033[36m%d\033[0m]",
        f"{name} running on \033[1m%s://%s:%d\033[0m (Press CTRL+C to quit)",
        None,
        "Finished server process [\033[36m%d\033[0m]",
    ]


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["on", "auto"])
def test_failed_startup_exits_with_3_before_the_port_is_bound(serve: Serve, mode: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(SystemExit) as raised, serve(app, lifespan=mode):
        pass
    assert raised.value.code == 3


def test_impossible_option_is_a_value_error_for_the_embedder() -> None:
    server = make(bicorn, port=70_000)
    with pytest.raises(ValueError, match="70000"):
        asyncio.run(server.serve())


def test_server_is_collected_after_serving() -> None:
    async def main() -> weakref.ref[Any]:
        server = make(bicorn)
        async with started(server):
            await asyncio.to_thread(ask, port_of(server))
        return weakref.ref(server)

    reference = asyncio.run(main())
    gc.collect()
    assert reference() is None


# Imports.


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_cheap() -> None:
    heavy = ("asyncio", "ssl", "logging", "typing", "bicorn._bicorn")
    code = f"import sys, bicorn; print([name for name in {heavy} if name in sys.modules])"
    # The interpreter's own start-up may import some of them.
    before = run_python(f"import sys; print([name for name in {heavy} if name in sys.modules])")
    assert run_python(code) == before


def test_main_is_the_function_and_the_module_stays_importable() -> None:
    module: Any = importlib.import_module("bicorn.main")
    assert callable(bicorn.main)
    assert (bicorn.main, bicorn.run) == (module.main, module.run)
    assert (module.Server, module.Config) == (bicorn.Server, bicorn.Config)


def test_package_names_what_uvicorn_names() -> None:
    assert sorted(bicorn.__all__) == ["Config", "Server", "main", "run"]
    assert bicorn.Server.__module__ == "bicorn.server"
    assert isinstance(bicorn.__version__, str)
    with pytest.raises(AttributeError, match="no_such_name"):
        bicorn.no_such_name  # noqa: B018


def test_run_is_a_call_that_frameworks_can_make(monkeypatch: pytest.MonkeyPatch) -> None:
    # As `fastapi run` does it: what `run` makes is a `Config` with the same values.
    seen: list[Any] = []

    def run(self: bicorn.Server) -> None:
        self.started = True
        seen.append(self.config)

    monkeypatch.setattr(bicorn.Server, "run", run)
    bicorn.run("tests.apps:hello", host="::1", port=1, log_config=None, root_path="/api", headers=[("a", "b")])
    assert isinstance(seen[0], bicorn.Config)
    wanted = SimpleNamespace(app="tests.apps:hello", host="::1", port=1, root_path="/api", headers=[("a", "b")])
    assert vars(wanted).items() <= vars(seen[0]).items()

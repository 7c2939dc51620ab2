"""What bicorn does for programs that embed a server, beyond uvicorn; what both do is in tests/parity."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from types import ModuleType
from typing import Any

import anyio
import pytest
import trio

import bicorn
from tests import raw
from tests.apps import hello
from tests.embedding import ask, make, make_started, port_of

pytestmark = pytest.mark.usefixtures("loggers_restored")


@pytest.mark.parametrize("lifespan", ["on", "off"])
@pytest.mark.parametrize("by", ["trio", "anyio"])
def test_trio_is_refused_in_words(by: str, lifespan: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    server = bicorn.Server(bicorn.Config(hello, port=0, log_config=None, lifespan=lifespan))
    with pytest.raises(RuntimeError, match=r"^cannot serve without a running asyncio event loop, and trio's is none"):
        if by == "trio":
            trio.run(server.serve)
        else:
            anyio.run(server.serve, backend="trio")
    assert signal.getsignal(signal.SIGTERM) is before


def test_trio_is_served_by_a_thread() -> None:
    server = make(bicorn)

    async def main() -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, server.run)
            while not server.started:
                await trio.sleep(0.001)
            answer: bytes = await trio.to_thread.run_sync(ask, port_of(server))
            server.should_exit = True
        return answer

    assert trio.run(main) == b"hello"


@pytest.mark.parametrize("step", ["startup", "main_loop", "shutdown", "on_tick"])
def test_what_a_step_raises_leaves_nothing_open(step: str) -> None:
    before = threading.active_count()

    async def main() -> Any:
        server = make_started(bicorn)
        original = getattr(server, step)

        async def fail(*arguments: Any, **options: Any) -> None:
            if step == "startup":
                await original(*arguments, **options)
            raise LookupError

        setattr(server, step, fail)
        server.should_exit = step == "shutdown"
        with pytest.raises(LookupError):
            await server.serve()
        assert not any(one.is_serving() for one in server.servers)
        return server

    server = asyncio.run(main())
    assert threading.active_count() == before
    assert all(one.sockets == () for one in server.servers)


# Notifying, as the gunicorn worker has it.


async def serve_and_count(module: ModuleType, wanted: int, **options: Any) -> list[float]:
    """Serve until `callback_notify` was awaited so often, and return when."""
    times: list[float] = []
    server: Any = None

    async def notify() -> None:
        times.append(time.monotonic())
        await asyncio.sleep(0)
        server.should_exit = len(times) >= wanted

    config = module.Config(hello, port=0, lifespan="off", log_config=None, callback_notify=notify, **options)
    server = module.Server(config)
    server.capture_signals = contextlib.nullcontext
    await asyncio.wait_for(server.serve(), 10)
    assert abs(server.last_notified - time.time()) < 10
    return times


@pytest.mark.parity
def test_notify_is_called_at_the_start_and_then_every_so_often(module: ModuleType) -> None:
    begun = time.monotonic()
    first, second = asyncio.run(serve_and_count(module, 2, timeout_notify=0.5))[:2]
    assert first - begun < 1
    # uvicorn looks once a second, and the clock may have been read a little earlier.
    assert 0.45 < second - first < 2.5


@pytest.mark.parity
def test_notify_is_called_once_where_the_interval_is_long(module: ModuleType) -> None:
    async def main() -> int:
        calls: list[None] = []

        async def notify() -> None:
            calls.append(None)

        server = make_started(module, callback_notify=notify, timeout_notify=30)
        task = asyncio.create_task(server.serve())
        await asyncio.wait_for(server.has_started.wait(), 10)
        for _ in range(5):
            assert await asyncio.to_thread(ask, port_of(server)) == b"hello"
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        return len(calls)

    assert asyncio.run(main()) == 1


@pytest.mark.parity
def test_what_notify_raises_ends_serve(module: ModuleType) -> None:
    async def notify() -> None:
        raise StopAsyncIteration("the arbiter has gone")

    async def main() -> None:
        server = make(module, callback_notify=notify)
        with pytest.raises(StopAsyncIteration):
            await server.serve()
        for one in server.servers:
            one.close()

    asyncio.run(main())


@pytest.mark.parity
def test_each_piece_may_run_in_a_task_of_its_own(module: ModuleType) -> None:
    async def main() -> bytes:
        server = make(module)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await asyncio.create_task(server.startup())
        port = port_of(server)
        waiting = asyncio.create_task(server.main_loop())
        answer = await asyncio.to_thread(ask, port)
        server.should_exit = True
        await asyncio.wait_for(waiting, 10)
        await asyncio.create_task(server.shutdown())
        with pytest.raises(ConnectionRefusedError):
            raw.Client(port=port)
        return answer

    assert asyncio.run(main()) == b"hello"

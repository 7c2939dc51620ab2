"""`callback_notify`, by which a server tells its process manager that its event loop still turns."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from types import ModuleType

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, hello
from tests.embedding import make, make_started, port_of, started

pytestmark = pytest.mark.usefixtures("loggers_restored")


class Beats:
    """A callback that counts, and wakes who waits for a number."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._changed = asyncio.Event()

    async def __call__(self) -> None:
        self.times.append(time.monotonic())
        self._changed.set()

    async def wait_for(self, number: int) -> None:
        while len(self.times) < number:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)


@pytest.mark.parity
def test_callback_is_awaited_again_and_again(module: ModuleType) -> None:
    async def main() -> list[float]:
        beats = Beats()
        server = make_started(module, timeout_notify=0.3, callback_notify=beats)
        serving_task = asyncio.create_task(server.serve())
        await beats.wait_for(3)
        assert time.time() - server.last_notified < 5
        server.should_exit = True
        await serving_task
        return beats.times

    times = asyncio.run(main())
    assert all(later - earlier >= 0.29 for earlier, later in itertools.pairwise(times)), times


@pytest.mark.parity
def test_exception_of_the_callback_ends_the_server(module: ModuleType) -> None:
    async def fail() -> None:
        raise RuntimeError("no heart")

    async def main() -> None:
        server = make(module, callback_notify=fail)
        try:
            await server.serve()
        finally:
            # uvicorn leaves its listeners open.
            for group in server.servers:
                group.close()

    with pytest.raises(RuntimeError, match="no heart"):
        asyncio.run(main())


@pytest.mark.parity
def test_subclass_with_its_own_tick_keeps_the_callback(module: ModuleType) -> None:
    ticks: list[int] = []

    class Server(module.Server):  # type: ignore[name-defined, misc]  # a class of either server
        async def on_tick(self, counter: int) -> bool:
            ticks.append(counter)
            return bool(await super().on_tick(counter))

    async def main() -> None:
        beats = Beats()
        server = make(module, timeout_notify=0.2, callback_notify=beats)
        server.__class__ = Server
        serving_task = asyncio.create_task(server.serve())
        await beats.wait_for(3)
        server.should_exit = True
        await serving_task

    asyncio.run(main())
    assert len(ticks) >= 3


@pytest.mark.differs_from_uvicorn("uvicorn's heart stops while it drains, and a process manager kills it")
def test_callback_goes_on_while_requests_finish(module: ModuleType) -> None:
    gate, entered = Gate(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await gate.wait()
        await hello(scope, receive, send)

    async def main() -> None:
        beats = Beats()
        server = make(module, app, timeout_notify=0.1, callback_notify=beats)
        async with started(server):
            with raw.Client(port=port_of(server)) as client:
                client.send(raw.request())
                await asyncio.to_thread(entered.wait, 10)
                stopping = asyncio.create_task(server.shutdown())
                await beats.wait_for(len(beats.times) + 3)
                gate.open()
                await asyncio.wait_for(stopping, 10)

    asyncio.run(main())

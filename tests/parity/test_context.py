"""Context variables, tasks and the async libraries that look at them, as the app sees them inside a request."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests import raw, serving
from tests.apps import App, Receive, Scope, Send, body, length, read_body, start
from tests.conftest import Serve, ServeShared

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def answering(make: Callable[[Scope], Awaitable[object]]) -> App:
    """Make an app that answers with the text of what `make` returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        data = str(await make(scope)).encode()
        await send(start(200, [length(data)]))
        await send(body(data))

    return app


def ask(server: Any, target: str = "/") -> str:
    with server.connect() as client:
        response: raw.Response = client.exchange(raw.request(target=target))
    assert response.status == 200
    return response.body.decode()


async def get_and_set(scope: Scope) -> str:
    seen = variable.get()
    variable.set(scope["path"])
    return seen


def test_variable_of_one_request_is_not_seen_by_the_next(serve_shared: ServeShared) -> None:
    server = serve_shared(answering(get_and_set))
    with server.connect() as client:
        assert [client.exchange(raw.request(target=f"/{n}")).body for n in range(3)] == [b"unset"] * 3
    assert ask(server) == "unset"


def test_variable_set_in_lifespan_startup_is_not_seen_by_requests(serve: Serve) -> None:
    # The lifespan app runs in a task of its own, so in a copy of the context.
    request_app = answering(get_and_set)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await request_app(scope, receive, send)
            return
        await receive()
        variable.set("lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with serve(app, lifespan="on") as server:
        assert ask(server) == "unset"


@asynccontextmanager
async def serving_in_this_loop(module: Any, app: App, **options: object) -> AsyncIterator[int]:
    """Run `await server.serve()` as a task of the running loop, as notebooks and test fixtures do; yield the port."""
    started = asyncio.Event()

    class WatchedServer(module.Server):  # type: ignore[misc]  # chosen at run time
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            started.set()

    server = WatchedServer(module.Config(app, port=0, lifespan="off", log_config=None, **options))
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(started.wait(), 10)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


@pytest.mark.parametrize(("reset", "expected"), [(False, "caller"), (True, "unset")])
def test_variable_of_the_caller_of_serve_is_seen_unless_reset(reset: bool, expected: str, server_name: str) -> None:
    module = serving.import_server(server_name)

    async def main() -> bytes:
        variable.set("caller")
        async with serving_in_this_loop(module, answering(get_and_set), reset_contextvars=reset) as port:
            return await asyncio.to_thread(_get, port)

    assert asyncio.run(main()) == expected.encode()


def _get(port: int) -> bytes:
    with raw.Client(port=port) as client:
        return client.exchange(raw.request()).body


def test_each_request_is_a_real_task(serve_shared: ServeShared) -> None:
    tasks: SimpleQueue[Any] = SimpleQueue()

    async def keep(scope: Scope) -> str:
        task = asyncio.current_task()
        assert task is not None
        assert task in asyncio.all_tasks()
        assert task.get_loop() is asyncio.get_running_loop()
        tasks.put(task)
        return type(task).__module__

    server = serve_shared(answering(keep))
    assert ask(server) == ask(server) == "_asyncio"
    first, second = tasks.get(timeout=5), tasks.get(timeout=5)
    assert first is not second


def test_pipelined_requests_are_separate_tasks(serve_shared: ServeShared) -> None:
    tasks: list[Any] = []

    async def keep(scope: Scope) -> str:
        tasks.append(asyncio.current_task())
        return ""

    with serve_shared(answering(keep)).connect() as client:
        client.send(raw.request() * 3)
        for _ in range(3):
            client.response()
    assert len({id(task) for task in tasks}) == 3


def test_app_runs_in_the_servers_thread_and_loop(serve: Serve) -> None:
    seen: list[tuple[Any, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((threading.current_thread(), asyncio.get_running_loop()))
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await answering(get_and_set)(scope, receive, send)

    with serve(app, lifespan="on") as server:
        ask(server)
        ask(server)
        thread = server.thread
    assert len(seen) == 3
    assert {id(one) for one, _ in seen} == {id(thread)}
    assert len({id(loop) for _, loop in seen}) == 1


# What frameworks use


async def _sleep_forever() -> None:
    await asyncio.Event().wait()


async def cancelled_by_wait_for(scope: Scope) -> str:
    try:
        await asyncio.wait_for(_sleep_forever(), 0.01)
    except asyncio.TimeoutError:
        return "timed out"
    return "no"


async def cancelled_by_anyio_scope(scope: Scope) -> str:
    with anyio.move_on_after(0.01) as cancel_scope:
        await _sleep_forever()
    return "timed out" if cancel_scope.cancelled_caught else "no"


async def anyio_task_group(scope: Scope) -> str:
    results: list[int] = []

    async def add(number: int) -> None:
        await anyio.sleep(0)
        results.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(add, number)
    return str(sorted(results))


async def anyio_cancelled_group(scope: Scope) -> str:
    async with anyio.create_task_group() as group:
        group.start_soon(_sleep_forever)
        await anyio.sleep(0)
        group.cancel_scope.cancel()
    return "cancelled"


async def anyio_thread(scope: Scope) -> str:
    variable.set("in the thread")
    other = await anyio.to_thread.run_sync(lambda: (threading.current_thread(), variable.get()))
    return f"{other[0] is not threading.current_thread()} {other[1]}"


async def anyio_thread_back(scope: Scope) -> str:
    return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(_answer))


async def _answer() -> str:
    return "from the loop"


async def loop_executor(scope: Scope) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: "from the pool")


async def gathered(scope: Scope) -> str:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    return str(await asyncio.gather(*(double(number) for number in range(4))))


async def anyio_task(scope: Scope) -> str:
    task = anyio.get_current_task()
    return str(task.id == id(asyncio.current_task()))


async def immediate_sleeps(scope: Scope) -> str:
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    return "slept"


HANDLERS: dict[Callable[[Scope], Awaitable[object]], str] = {
    cancelled_by_wait_for: "timed out",
    cancelled_by_anyio_scope: "timed out",
    anyio_task_group: "[0, 1, 2]",
    anyio_cancelled_group: "cancelled",
    anyio_thread: "True in the thread",
    anyio_thread_back: "from the loop",
    loop_executor: "from the pool",
    gathered: "[0, 2, 4, 6]",
    anyio_task: "True",
    immediate_sleeps: "slept",
}


@pytest.mark.parametrize(("handler", "expected"), HANDLERS.items(), ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("before", [False, True], ids=["at once", "after receive"])
def test_async_library_inside_a_request(
    handler: Callable[[Scope], Awaitable[object]], expected: str, before: bool, serve_shared: ServeShared
) -> None:
    inner = answering(handler)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if before:
            await read_body(receive)
        await inner(scope, receive, send)

    server = serve_shared(app)
    assert [ask(server), ask(server)] == [expected, expected]


def test_sniffio_finds_asyncio(serve_shared: ServeShared) -> None:
    sniffio = pytest.importorskip("sniffio")

    async def handler(scope: Scope) -> str:
        library: str = sniffio.current_async_library()
        return library

    assert ask(serve_shared(answering(handler))) == "asyncio"


if sys.version_info >= (3, 11):

    async def timeout_and_groups(scope: Scope) -> str:
        results = []
        try:
            async with asyncio.timeout(0.01):
                await _sleep_forever()
        except TimeoutError:
            results.append("timed out")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_answer())
        results.append(task.result())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_sleep_forever())
                raise ValueError("stop")
        except BaseException as error:
            results.append(type(error).__name__)
        return str(results)

    def test_timeout_and_task_group_inside_a_request(serve_shared: ServeShared) -> None:
        expected = "['timed out', 'from the loop', 'ExceptionGroup']"
        assert ask(serve_shared(answering(timeout_and_groups))) == expected


def test_task_made_in_a_request_outlives_it(serve_shared: ServeShared) -> None:
    done: SimpleQueue[str] = SimpleQueue()
    keep: set[asyncio.Task[None]] = set()

    async def later() -> None:
        await asyncio.sleep(0.01)
        done.put(variable.get())

    async def handler(scope: Scope) -> str:
        variable.set("inherited")
        keep.add(asyncio.create_task(later()))
        return "started"

    assert ask(serve_shared(answering(handler))) == "started"
    assert done.get(timeout=5) == "inherited"


def test_requests_run_concurrently(serve_shared: ServeShared) -> None:
    waiting: list[asyncio.Event] = []

    async def handler(scope: Scope) -> str:
        # Each request but the last waits for the one after it.
        event = asyncio.Event()
        waiting.append(event)
        if len(waiting) == 10:
            for other in waiting:
                other.set()
        await event.wait()
        return scope["path"]  # type: ignore[no-any-return]

    server = serve_shared(answering(handler))
    clients = [server.connect() for _ in range(10)]
    try:
        for number, client in enumerate(clients):
            client.send(raw.request(target=f"/{number}"))
        assert [client.response().body for client in clients] == [f"/{number}".encode() for number in range(10)]
    finally:
        for client in clients:
            client.close()

"""`bicorn.testing.serve_async`: an app in the running event loop; and the pytest fixture."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
import trio
import uvloop

from bicorn.testing import RunningServer, ServerFailed, serve_async
from tests import raw
from tests.apps import Receive, Scope, Send, hello

pytest_plugins = ["bicorn.pytest_plugin"]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


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


async def get(server: RunningServer) -> bytes:
    async with httpx.AsyncClient() as client:
        return (await client.get(server.url)).content


def lifespan_app(event: dict[str, Any], error: BaseException | None = None) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(event)
        if error is not None:
            raise error

    return app


FAILED = {"type": "lifespan.startup.failed", "message": "no database"}


def test_an_app_is_served_in_the_running_loop(run: Any) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await hello(scope, receive, send)

    async def main() -> None:
        handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        async with serve_async(app) as server:
            assert await get(server) == b"hello"
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
        assert set(loops) == {asyncio.get_running_loop()}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(ConnectionRefusedError):
            raw.Client(port=server.port)

    before = threading.active_count()
    run(main())
    assert threading.active_count() == before


def test_several_servers_share_the_loop(run: Any) -> None:
    async def main() -> list[bytes]:
        async with serve_async(hello) as first, serve_async(hello) as second:
            return list(await asyncio.gather(get(first), get(second)))

    assert run(main()) == [b"hello", b"hello"]


def test_the_app_sees_context_variables_of_the_test(run: Any) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await hello(scope, receive, send)

    async def main() -> None:
        variable.set("set")
        async with serve_async(app, lifespan="off") as server:
            await get(server)

    run(main())
    assert seen == ["set"]


def test_a_failed_start_raises_and_the_loop_goes_on(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="broken"):
            async with serve_async(lifespan_app(FAILED, ValueError("broken"))):
                pass
        with pytest.raises(ServerFailed, match="start-up failed: no database"):
            async with serve_async(lifespan_app(FAILED)):
                pass
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            pytest.raises(ServerFailed, match="address already in use"),
        ):
            async with serve_async(hello, port=listener.getsockname()[1]):
                pass
        with pytest.raises(ServerFailed, match="no_such_module"):
            async with serve_async("no_such_module:app"):
                pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_a_start_or_an_end_that_takes_too_long_is_an_error(run: Any) -> None:
    async def never_starts(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def never_ends(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError, match="did not start within"):
            async with serve_async(never_starts, timeout=0.2):
                pass
        with pytest.raises(TimeoutError, match="did not end within"):
            async with serve_async(never_ends, timeout=1, timeout_graceful_shutdown=None):
                pass

    run(main())


def test_cancellation_closes_the_server_at_once(run: Any) -> None:
    async def serve_for_ever(serving: asyncio.Future[RunningServer]) -> None:
        async with serve_async(hello) as server:
            serving.set_result(server)
            await asyncio.Event().wait()

    async def main() -> None:
        serving: asyncio.Future[RunningServer] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve_for_ever(serving))
        server = await serving
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionRefusedError):
            raw.Client(port=server.port)

    run(main())


def test_a_cancel_scope_of_anyio_may_end_it() -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with serve_async(hello) as server:
                assert await get(server) == b"hello"
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        # The task of the server is cancelled, too, and closes when it runs.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        assert not server.server.servers[0].is_serving()

    anyio.run(main)


def test_trio_is_refused_in_words() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"^serve_async\(\) needs a running asyncio event loop; with trio"):
            async with serve_async(hello):
                pass

    trio.run(main)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyios_plugin_runs_it() -> None:
    async with serve_async(hello) as server:
        assert await get(server) == b"hello"


# The fixture.


def test_fixture_serves_apps_until_the_test_ends(bicorn_server: Any) -> None:
    first, second = bicorn_server(hello), bicorn_server("tests.apps:hello", root_path="/api")
    assert [httpx.get(server.url).content for server in (first, second)] == [b"hello"] * 2
    assert second.server.config.root_path == "/api"

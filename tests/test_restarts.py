"""Many servers, one after the other, in one process: nothing of them stays."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import pytest

import bicorn
from tests.apps import Receive, Scope, Send, hello
from tests.conftest import Serve
from tests.processes import needs_proc, open_files


def _starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", endpoint)])


async def _plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    await hello(scope, receive, send)


@needs_proc
@pytest.mark.parametrize("make_app", [_starlette_app, lambda: _plain_app], ids=["endpoint threads", "loop only"])
def test_restarts_leave_no_descriptor_and_no_thread(make_app: Any, serve: Serve) -> None:
    app = make_app()

    def restart(times: int) -> tuple[int, int]:
        for _ in range(times):
            with serve(app) as server, server.connect() as client:
                client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert client.response().body == b"hello"
        gc.collect()
        return open_files(os.getpid()), threading.active_count()

    # What the process opens once, such as the loop's first signal pipe, is open after the first.
    before = restart(2)
    assert restart(10) == before


def test_a_closed_server_is_freed(serve: Serve) -> None:
    freed = threading.Event()

    class App:
        def __del__(self) -> None:
            freed.set()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)

    app = App()
    server = bicorn.Server(bicorn.Config(app, port=0, log_config=None, lifespan="off", loop="asyncio"))
    thread = threading.Thread(target=server.run)
    server.should_exit = True
    thread.start()
    thread.join()
    state = server.server_state
    del app, server
    gc.collect()
    # Whoever keeps the numbers of a server does not keep its app.
    assert state.total_requests == 0
    assert freed.is_set()

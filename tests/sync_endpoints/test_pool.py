"""What `anyio.to_thread.run_sync` gives back while bicorn serves it."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest
import trio

from tests import raw
from tests.apps import Receive, Scope, Send, body, start
from tests.sync_endpoints.conftest import ServeMode


@pytest.mark.parametrize("result", [None, NotImplemented, (), "text"], ids=repr)
def test_a_function_runs_once_whatever_it_returns(result: Any, serve_mode: ServeMode) -> None:
    calls: list[object] = []

    def function() -> Any:
        calls.append(result)
        return result

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await anyio.to_thread.run_sync(function) is result
        await send(start())
        await send(body(b"done"))

    with serve_mode(app) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"done"
    assert len(calls) == 1


def test_another_backend_has_its_own_threads(serve_mode: ServeMode) -> None:
    async def call() -> str:
        return await anyio.to_thread.run_sync(lambda: "from a thread of trio")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await anyio.to_thread.run_sync(trio.run, call) == "from a thread of trio"
        await send(start())
        await send(body(b"done"))

    with serve_mode(app) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"done"

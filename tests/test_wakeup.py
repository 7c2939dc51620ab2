"""Loops that cannot watch a file descriptor are woken by a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, NoReturn

from tests import raw
from tests.apps import Receive, Scope, Send, hello
from tests.conftest import Serve


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """Like the proactor loop of Windows."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> NoReturn:
        raise NotImplementedError


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_loop_without_readers_serves(serve: Serve) -> None:
    with serve(hello, loop=f"{__name__}:LoopWithoutReaders") as server, server.connect() as client:
        assert "bicorn-wakeup" in threads()
        assert [client.exchange(raw.request()).status for _ in range(3)] == [200] * 3


def test_content_wakes_a_waiting_application(serve: Serve) -> None:
    waiting = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().call_soon(waiting.set)
        event = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": event["body"]})

    with serve(app, loop=f"{__name__}:LoopWithoutReaders", lifespan="off") as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "5")]))
        assert waiting.wait(5)
        client.send(b"hello")
        assert client.response().body == b"hello"

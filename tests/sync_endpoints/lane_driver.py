"""A lane without a server: what an endpoint thread does with an exchange, in Python and in the calling thread.

The application's coroutine is sent None where no event loop runs. What it gives to `anyio.to_thread.run_sync` is called
at once. When it awaits `to_loop()`, or `receive` while there is no content, it goes on as a task of a loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
import pytest

from bicorn.sync_endpoints import hooks, install_hooks, needs_loop

Messages = list[dict[str, Any]]


@dataclass
class Exchange:
    """One request, its content in pieces, and what the application sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = (b"",)
    # Pieces that are there when the request begins; what comes after them has to be waited for.
    pieces_ready: int = 1
    root_path: str = ""
    messages: Messages = field(default_factory=list)
    raised: tuple[type, tuple[Any, ...]] | None = None
    has_moved: bool = False

    def scope(self) -> dict[str, Any]:
        """Build the scope as the server does."""
        path, _, query = self.target.partition("?")
        return {
            **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"},
            **{"scheme": "http", "method": self.method, "path": self.root_path + unquote(path)},
            **{"raw_path": path.encode(), "query_string": query.encode(), "root_path": self.root_path, "state": {}},
            **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)},
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers],
        }

    def outcome(self) -> tuple[object, ...]:
        """Return all that the client and the server would see."""
        return self.messages, self.raised

    def start(self, app: Any, wait: Callable[[], Any]) -> Any:
        """Call the application; `wait` is awaited for each piece that is not there yet."""
        position = 0

        async def receive() -> dict[str, Any]:
            nonlocal position
            if position >= self.pieces_ready:
                await wait()
            position += 1
            if position > len(self.pieces):
                return {"type": "http.disconnect"}
            is_last = position == len(self.pieces)
            return {"type": "http.request", "body": self.pieces[position - 1], "more_body": not is_last}

        async def send(message: Any) -> None:
            self.messages.append(dict(message))

        return app(self.scope(), receive, send)


class LaneDriver:
    """Drives exchanges as the lane does, and as an event loop does, to compare them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_in_lane = False
        self.run_sync = anyio.to_thread.run_sync
        monkeypatch.setattr(hooks, "LANE", hooks.Lane())
        install_hooks(self.to_loop, lambda: self.is_in_lane)
        monkeypatch.setattr(anyio.to_thread, "run_sync", self.run_inline)

    async def to_loop(self) -> None:
        """Go on in an event loop."""
        if self.is_in_lane:
            await _give_up()

    async def run_inline(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Stand for `anyio.to_thread.run_sync`."""
        if not self.is_in_lane:
            return await self.run_sync(function, *args, **options)
        self.is_in_lane = False
        try:
            result = contextvars.copy_context().run(function, *args)
        finally:
            self.is_in_lane = True
        if needs_loop(result):
            await self.to_loop()
        return result

    def drive(self, app: Any, exchange: Exchange) -> Exchange:
        """Run an exchange in the lane, and on a loop from where it asks for one."""
        context = contextvars.copy_context()
        coroutine = exchange.start(app, self.to_loop)
        self.is_in_lane = True
        try:
            context.run(coroutine.send, None)
        except StopIteration:
            return exchange
        except BaseException as error:
            exchange.raised = (type(error), error.args)
            return exchange
        finally:
            self.is_in_lane = False
        exchange.has_moved = True
        context.run(_run, exchange, coroutine)
        return exchange

    def run_on_loop(self, app: Any, exchange: Exchange) -> Exchange:
        """Run an exchange as any server does."""
        _run(exchange, exchange.start(app, self.to_loop))
        return exchange


@types.coroutine
def _give_up() -> Generator[None, None, None]:
    yield


def _run(exchange: Exchange, coroutine: Any) -> None:
    # Nothing may be raised in the task: one that ends with SystemExit ends the loop, too.
    async def note_error() -> None:
        try:
            await _continue(coroutine)
        except BaseException as error:
            exchange.raised = (type(error), error.args)

    asyncio.run(note_error())


@types.coroutine
def _continue(coroutine: Any) -> Generator[Any, Any, Any]:
    return (yield from coroutine)

"""Apps that several tests serve, in a thread or by import string, and what apps and tests talk through."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

Event = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class ScopeKeeper:
    """An app that keeps the scope of each request and says hello."""

    def __init__(self) -> None:
        self._scopes: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def next(self) -> dict[str, Any]:
        """Wait for the next request and return its scope."""
        return self._scopes.get(timeout=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self._scopes.put(scope)  # type: ignore[arg-type]  # a dict, as the scope tests check
        await hello(scope, receive, send)


class Switch:
    """An app whose inside a test can exchange while the server runs."""

    def __init__(self) -> None:
        self.app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        result: Any = await self.app(scope, receive, send)  # type: ignore[func-returns-value]  # a wrong app may
        return result  # type: ignore[no-any-return]


class Gate:
    """Opened by the test's thread, awaited by the app."""

    def __init__(self) -> None:
        self._future: Future[None] = Future()

    def open(self) -> None:
        """Let every waiter go on, now and later."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Wait in the event loop until the gate is open."""
        await asyncio.shield(asyncio.wrap_future(self._future))


def start(status: int = 200, headers: Headers = ()) -> Event:
    """Make a response.start event."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Event:
    """Make a response.body event."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(data: bytes) -> tuple[bytes, bytes]:
    """Make a content-length header."""
    return b"content-length", str(len(data)).encode()


def responder(data: bytes = b"hello", *, status: int = 200, headers: Headers | None = None) -> App:
    """Make an app that answers at once, with a content-length unless `headers` are given."""
    sent = [length(data)] if headers is None else list(headers)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status, sent))
        await send(body(data))

    return app


hello = responder(b"hello")


def sender(*events: Event) -> App:
    """Make an app that sends these events and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(dict(event))

    return app


class Sending:
    """An app that sends these events whatever `send` raises, keeps what it raised, and returns.

    None among the events gives way to the loop, so that a held response head is flushed.
    """

    def __init__(self, *events: Event | None, reraise: bool = True) -> None:
        self.events = events
        self.reraise = reraise
        self.errors: SimpleQueue[BaseException | None] = SimpleQueue()

    def error(self) -> BaseException | None:
        """Wait for the app's end and return what `send` raised last, if anything."""
        return self.errors.get(timeout=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        last: BaseException | None = None
        try:
            for event in self.events:
                try:
                    if event is None:
                        await turn_loop()
                    else:
                        await send(dict(event))
                except Exception as error:
                    last = error
                    if self.reraise:
                        raise
        finally:
            self.errors.put(last)


async def turn_loop(times: int = 10) -> None:
    """Let the event loop turn some times, so that what is due at the end of a tick has happened."""
    for _ in range(times):
        await asyncio.sleep(0)


async def read_body(receive: Receive) -> bytes:
    """Read the whole request body; a disconnect is an error."""
    pieces: list[bytes] = []
    while True:
        event = await receive()
        assert event["type"] == "http.request", event
        pieces.append(event["body"])
        if not event["more_body"]:
            return b"".join(pieces)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request's body."""
    data = await read_body(receive)
    await send(start(headers=[length(data)]))
    await send(body(data))


async def pid(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the process id."""
    data = str(os.getpid()).encode()
    await send(start(headers=[length(data)]))
    await send(body(data))

"""Apps for servers in another process: faults, memory and shutdown."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.apps import App, Receive, Scope, Send, body, echo, hello, length, read_body, start


async def held(scope: Scope, receive: Receive, send: Send) -> None:
    """Say on stdout that a request has begun, and answer when its body is whole."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    print("request begun", flush=True)
    await read_body(receive)
    await hello(scope, receive, send)


async def _never_read(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def _streaming(piece: bytes, total: int) -> App:
    """Make an app that streams so many bytes: to a peer that has left, `send` is silent and the loop must end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(total // len(piece)):
            await send(body(piece, more=True))
        await send(body())

    return app


async def _huge(scope: Scope, receive: Receive, send: Send) -> None:
    # One gigabyte in pieces that share one object: what the server keeps of them is its own doing.
    piece = bytes(1024 * 1024)
    await send(start(200, [(b"content-length", str(1024 * len(piece)).encode())]))
    for _ in range(1024):
        await send(body(piece, more=True))
    await send(body())


async def _raise(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("as asked")


async def _long(scope: Scope, receive: Receive, send: Send) -> None:
    data = b"x" * 10_000
    await send(start(200, [length(data)]))
    await send(body(data))


async def _tasks(scope: Scope, receive: Receive, send: Send) -> None:
    data = str(len(asyncio.all_tasks())).encode()
    await send(start(200, [length(data)]))
    await send(body(data))


PATHS: dict[str, Any] = {
    "/never-read": _never_read,
    "/gigabyte": _streaming(b"x" * 64 * 1024, 1024 * 1024 * 1024),
    "/small-pieces": _streaming(b"x" * 100, 32 * 1024 * 1024),
    "/huge": _huge,
    "/raise": _raise,
    "/echo": echo,
    "/long": _long,
    "/tasks": _tasks,
}


async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Do what the path says; hello for all other paths."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await PATHS.get(scope["path"], hello)(scope, receive, send)

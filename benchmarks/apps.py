"""The raw ASGI applications under load: each is as small as the thing it measures.

A server imports this module by name (`apps:hello`), so it must import without a server and without side effects.
Framework applications have files of their own: a raw ASGI run must not pay for FastAPI's memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Event = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Event]]
    Send = Callable[[Event], Awaitable[None]]

HELLO = b"Hello, world!"
MEBIBYTE = bytes(range(256)) * 4096
STREAMED_CHUNK = b"x" * 1024
STREAMED_CHUNKS = 100
SLEEP_SECONDS = 0.01

_HELLO_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
_HELLO_BODY = {"type": "http.response.body", "body": HELLO}
_MEBIBYTE_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/octet-stream"), (b"content-length", b"1048576")],
}
_MEBIBYTE_BODY = {"type": "http.response.body", "body": MEBIBYTE}
# No content-length: the server frames the stream itself.
_STREAM_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/octet-stream")],
}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 13 bytes and nothing else: what is left is the server."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await send(_HELLO_START)
    await send(_HELLO_BODY)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Collect the request body and send it back."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    chunks = []
    more_body = True
    while more_body:
        event = await receive()
        chunks.append(event.get("body", b""))
        more_body = event.get("more_body", False)
    body = b"".join(chunks)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def mebibyte(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 1 MiB in one event."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await send(_MEBIBYTE_START)
    await send(_MEBIBYTE_BODY)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 100 chunks of 1 KiB, each its own event."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await send(_STREAM_START)
    for _ in range(STREAMED_CHUNKS):
        await send({"type": "http.response.body", "body": STREAMED_CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait on the event loop before the answer, as an app does for its database."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    await asyncio.sleep(SLEEP_SECONDS)
    await send(_HELLO_START)
    await send(_HELLO_BODY)


async def websocket_echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each message back; over HTTP, say hello, so that there is something to wait for."""
    if scope["type"] != "websocket":
        return await hello(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        # Either key may be missing or None.
        text = event.get("text")
        if text is None:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
        else:
            await send({"type": "websocket.send", "text": text})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

"""The app under the suites: an echo for WebSockets, and paths that say what they do for HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from tests.apps import Receive, Scope, Send, body, length, read_body, start

# Longer than any window a suite makes small (h2spec 6.9.2), shorter than a frame.
TEXT = b"Thirteen bytes would not do: a case looks at what comes after the first few of them.\n" * 16
# One object for all requests: what a server keeps of it is its own doing.
BIG = b"x" * 7 * 1024 * 1024
STREAMED_CHUNK_BYTES = 64 * 1024
# What an application of some use takes. Cases of h2spec send errors for a stream right behind its request (6.9.1) and
# want to be told: on a stream that is answered by then, RFC 9113 §5.1 wants them ignored.
THINKING_SECONDS = 0.01


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve what the path asks for; a WebSocket is echoed, whatever its path."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo_messages(receive, send)
    else:
        await _PATHS.get(scope["path"], _text)(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def _echo_messages(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        # Either key may be missing or None.
        text = event.get("text")
        await send({"type": "websocket.send", **({"bytes": event["bytes"]} if text is None else {"text": text})})


async def _answer(send: Send, data: bytes, content_type: bytes = b"text/plain") -> None:
    await send(start(200, [(b"content-type", content_type), length(data)]))
    await send(body(data))


async def _text(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, TEXT)


async def _slow_text(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(THINKING_SECONDS)
    await _answer(send, TEXT)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, await read_body(receive))


async def _big(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, BIG, b"application/octet-stream")


async def _stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start(200, [(b"content-type", b"application/octet-stream"), length(BIG)]))
    for _ in range(len(BIG) // STREAMED_CHUNK_BYTES):
        # A new object each time: whatever is queued costs what it weighs.
        await send(body(b"x" * STREAMED_CHUNK_BYTES, more=True))
    await send(body())


async def _waits(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _scope(scope: Scope, receive: Receive, send: Send) -> None:
    seen = {"http_version": scope["http_version"], "scheme": scope["scheme"], "method": scope["method"]}
    await _answer(send, json.dumps(seen).encode(), b"application/json")


_PATHS: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "/slowly": _slow_text,
    "/echo": _echo,
    "/big": _big,
    "/stream": _stream,
    "/waits": _waits,
    "/scope": _scope,
}

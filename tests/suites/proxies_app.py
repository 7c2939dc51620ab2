"""The app behind the proxies: says hello, what it sees of a client, and one event of a stream that does not end."""

from __future__ import annotations

import json

from tests.apps import Receive, Scope, Send, body, length, read_body, start


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve what the path asks for; a WebSocket is echoed."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        await _echo_messages(receive, send)
    elif scope["path"] == "/events":
        await _one_event(receive, send)
    else:
        content = _seen(scope) if scope["path"] == "/scope" else await read_body(receive) or b"hello"
        await send(start(200, [(b"content-type", b"text/plain"), length(content)]))
        await send(body(content))


def _seen(scope: Scope) -> bytes:
    headers = dict(scope["headers"])
    seen = {
        "client": scope["client"][0],
        "port": scope["client"][1],
        "scheme": scope["scheme"],
        "version": scope["http_version"],
        "host": headers[b"host"].decode(),
    }
    return json.dumps(seen).encode()


async def _echo_messages(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def _one_event(receive: Receive, send: Send) -> None:
    # nginx passes on what comes, and only waits for more, if it is told so.
    await send(start(200, [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]))
    await send(body(b"data: 1\n\n", more=True))
    while (await receive())["type"] != "http.disconnect":
        pass

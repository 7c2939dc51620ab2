"""The app behind the browser's page: what the page fetches, listens to and talks with, and over which version."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.apps import Receive, Scope, Send, body, start
from tests.suites import apps

PAGE = Path(__file__).with_name("browser_page.html")
EVENTS = 5
EVENT_SECONDS = 0.05


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the page and its counterparts; what is left is the app of the other suites."""
    if scope["type"] == "websocket":
        await (_refuse if scope["path"] == "/refused" else _talk)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/":
        await send(start(200, [(b"content-type", b"text/html")]))
        await send(body(PAGE.read_bytes()))
    elif scope["type"] == "http" and scope["path"] == "/events":
        await _events(send)
    elif scope["type"] == "http" and scope["path"] == "/missing":
        await send(start(404))
        await send(body(b"no such thing"))
    else:
        await apps.app(scope, receive, send)


async def _events(send: Send) -> None:
    await send(start(200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]))
    for number in range(EVENTS):
        await send(body(b"data: event %d\n\n" % number, more=True))
        # The page must see each as it comes, not all at the end.
        await asyncio.sleep(EVENT_SECONDS)
    await send(body())


async def _talk(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    while (event := await receive())["type"] == "websocket.receive":
        text = event["text"]
        if text == "close":
            await send({"type": "websocket.close", "code": 3001, "reason": "as asked"})
            return
        if text == "scope":
            text = json.dumps({"http_version": scope["http_version"], "scheme": scope["scheme"]})
        await send({"type": "websocket.send", "text": text})


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1000})

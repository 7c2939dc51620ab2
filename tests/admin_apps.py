"""Applications that tests of the management listener run in other processes."""

from __future__ import annotations

import itertools
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.apps import Receive, Scope, Send, hello


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer; `/process` says which process does; `/hold` keeps the interpreter for ever.

    With a path in STARTUP_FIFO, the start-up blocks the loop until somebody writes there.
    """
    if scope["type"] == "lifespan":
        await receive()
        if "STARTUP_FIFO" in os.environ:
            with open(os.environ["STARTUP_FIFO"]) as fifo:  # blocking is what it is for
                fifo.read()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/hold":
        sum(itertools.repeat(0))
    if scope["path"] == "/process":
        content = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": content})
        return
    await hello(scope, receive, send)


def _plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("plain")


sync_endpoints = Starlette(routes=[Route("/", _plain)])

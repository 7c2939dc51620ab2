"""A program that starts and ends servers, one after the other, and prints what they leave behind.

Usage: python -m tests.restarting starlette|plain   prints `[[descriptors, threads, known threads], [the same later]]`
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from typing import Any

from tests.apps import hello
from tests.processes import open_files, threads
from tests.serving import serve


def make_app(kind: str) -> Any:
    """Make an app that endpoint threads serve, or one that the loop does."""
    if kind == "plain":
        return hello

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", endpoint)])


def restart(app: Any, times: int) -> tuple[int, int, int]:
    """Serve one request so many times, each on a server of its own."""
    for _ in range(times):
        with serve(app) as server, server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.response().body == b"hello"
    gc.collect()
    return open_files(os.getpid()), threads(os.getpid()), threading.active_count()


if __name__ == "__main__":
    app = make_app(sys.argv[1])
    # What a process opens once is open after the first.
    print(json.dumps([restart(app, 2), restart(app, 20)]))

"""A program that starts and ends servers, one after the other, and prints what they leave behind.

Usage: python -m tests.restarting APP LOOP HOW TIMES [CERTFILE KEYFILE]

Prints three measurements: after a few servers, after so many more, and after as many again. Each is a list of
descriptors, threads, those that Python knows, event loops, servers, objects, and memory in KiB.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import ssl
import sys
import threading
from typing import Any

import uvloop

import bicorn
from bicorn.testing import RunningServer, serve, serve_async
from tests.apps import hello
from tests.processes import memory_kib, open_files, threads
from tests.raw import request

# Whose certificate it is does not matter.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


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


def ask(server: RunningServer) -> None:
    """Send a request, by TLS if there is a certificate."""
    with socket.create_connection((server.host, server.port), 5) as client:
        if server.url.startswith("https"):
            client = TLS.wrap_socket(client)
        client.sendall(request(headers=[("Connection", "close")]))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        client.close()
    assert answer.endswith(b"hello"), answer


async def serve_here(app: Any, options: dict[str, Any]) -> None:
    """Serve one request in this thread's loop."""
    async with serve_async(app, **options) as server:
        await asyncio.get_running_loop().run_in_executor(None, ask, server)


def restart(app: Any, how: str, times: int, options: dict[str, Any]) -> None:
    """Serve one request so many times, each on a server of its own."""
    for _ in range(times):
        if how == "thread":
            with serve(app, **options) as server:
                ask(server)
        else:
            new_loop = uvloop.new_event_loop if options["loop"] == "uvloop" else asyncio.SelectorEventLoop
            loop = new_loop()
            loop.run_until_complete(serve_here(app, options))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def measure() -> list[int]:
    """Count what is there."""
    gc.collect()
    objects = gc.get_objects()
    loops = sum(isinstance(one, asyncio.AbstractEventLoop) for one in objects)
    servers = sum(isinstance(one, bicorn.Server) for one in objects)
    pid = os.getpid()
    counts = open_files(pid), threads(pid), threading.active_count(), loops, servers
    return [*counts, len(objects), memory_kib(pid)]


def main() -> None:
    """Serve, measure, and print."""
    kind, loop, how, times, *pair = sys.argv[1:]
    app, options = make_app(kind), {"loop": loop, **dict(zip(("ssl_certfile", "ssl_keyfile"), pair, strict=False))}
    measurements = []
    # What a process opens once is open after the first.
    for count in (10, int(times), int(times)):
        restart(app, how, count, options)
        measurements.append(measure())
    print(json.dumps(measurements))


if __name__ == "__main__":
    main()

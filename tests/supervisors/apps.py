"""An app for workers: its paths make the process that answers busy, slow or dead.

What it does while it is imported is said by the environment variable IMPORT, a file: each import adds a line with its
process id; if there is `<file>.fails`, the import raises, and if there is `<file>.waits`, it sleeps.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import deque
from pathlib import Path

from tests.apps import Receive, Scope, Send, body, length, read_body, start

if "IMPORT" in os.environ:
    _imports = Path(os.environ["IMPORT"])
    with _imports.open("a") as _file:
        _file.write(f"{os.getpid()}\n")
    if _imports.with_suffix(".waits").exists():
        print("import waits", flush=True)
        time.sleep(30)
    if _imports.with_suffix(".fails").exists():
        raise RuntimeError("this import fails")


def hold_the_interpreter(seconds: float) -> None:
    """Keep every other thread of this interpreter from running: a loop in C gives the lock to nobody."""
    begin = time.monotonic()
    deque(itertools.repeat(None, 10_000_000), maxlen=0)
    rate = 10_000_000 / (time.monotonic() - begin)
    deque(itertools.repeat(None, int(rate * seconds)), maxlen=0)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the process id, after what the path says: `/sleep/2`, `/exit/7`, `/kill/11`, …"""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    _, action, argument = f"{scope['path']}/".split("/", 2)
    argument = argument.rstrip("/")
    if action == "sleep":
        time.sleep(float(argument))
    elif action == "hold":
        print("holding", flush=True)
        hold_the_interpreter(float(argument))
    elif action == "exit":
        os._exit(int(argument))
    elif action == "kill":
        os.kill(os.getpid(), int(argument))
    elif action == "body":
        # As long as the client wishes.
        print("request begun", flush=True)
        await read_body(receive)
    elif action == "forever":
        print("request begun", flush=True)
        await asyncio.Event().wait()
    data = str(os.getpid()).encode()
    await send(start(200, [length(data)]))
    await send(body(data))


class Lifespan:
    """The same with a lifespan that prints its steps, and fails or takes long as the environment says."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        failing = os.environ.get("LIFESPAN_FAILS")
        if failing and Path(failing).exists():
            await send({"type": "lifespan.startup.failed", "message": "as asked"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(float(os.environ.get("LIFESPAN_ENDS_IN", "0")))
        print(f"lifespan over in {os.getpid()}", flush=True)
        await send({"type": "lifespan.shutdown.complete"})


lifespan = Lifespan()

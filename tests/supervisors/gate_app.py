"""An app that says which process answers, and one path that blocks its event loop."""

from __future__ import annotations

import os
import time

from tests.apps import Receive, Scope, Send, body, length, start

BLOCK_SECONDS = 5.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the process id."""
    if scope["path"] == "/block":
        print("blocked", os.getpid(), flush=True)
        time.sleep(BLOCK_SECONDS)
    data = str(os.getpid()).encode()
    await send(start(200, [length(data)]))
    await send(body(data))

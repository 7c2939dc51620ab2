"""An app that says which process answers, and one path that blocks its event loop."""

from __future__ import annotations

import os
import time

from tests.apps import Receive, Scope, Send, body, length, start

BLOCK_SECONDS = 5.0
COMPUTE_SECONDS = 0.002


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the process id."""
    if scope["path"] == "/block":
        # In one write: other workers write to the same pipe.
        os.write(1, f"blocked {os.getpid()}\n".encode())
        time.sleep(BLOCK_SECONDS)
    elif scope["path"] == "/compute":
        end = time.thread_time() + COMPUTE_SECONDS
        while time.thread_time() < end:
            pass
    data = str(os.getpid()).encode()
    await send(start(200, [length(data)]))
    await send(body(data))

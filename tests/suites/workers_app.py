"""An app whose answers take a while, so that some are always in flight."""

from __future__ import annotations

import asyncio

from tests.apps import Receive, Scope, Send, hello

SECONDS = 0.05


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after a while."""
    await asyncio.sleep(SECONDS)
    await hello(scope, receive, send)

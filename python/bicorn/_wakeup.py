"""Wake a loop that cannot watch a file descriptor (`add_reader` raises NotImplementedError)."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Callable


def start(
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context,
    wait: Callable[[], bool],
    drain: Callable[[], None],
) -> None:
    """Start a thread that waits for work and has the loop call `drain` in a copy of `context`.

    Args:
        wait: Blocks, detached, until there is work or a second has passed; false once the server is closed.
    """

    def watch() -> None:
        # The loop may be closed while this thread waits; then there is nobody left to wake.
        with contextlib.suppress(RuntimeError):
            while wait():
                loop.call_soon_threadsafe(drain, context=context.copy())

    threading.Thread(target=watch, name="bicorn-wakeup", daemon=True).start()

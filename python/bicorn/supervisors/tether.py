"""`Tethered`: a child's target that does not outlive its parent."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from bicorn.signals import signals_blocked

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

    from bicorn.config import Config

logger = logging.getLogger("uvicorn.error")


class Tethered:
    """Calls a target; meanwhile, a thread waits for the end of the parent."""

    def __init__(self, config: Config, tether: Connection[Any, Any], target: Callable[..., object]) -> None:
        """Take one end of a connection whose other end only the parent has."""
        self._config = config
        self._tether = tether
        self._target = target

    def __call__(self, sockets: list[socket.socket] | None = None) -> None:
        """Run in the child."""
        with signals_blocked():
            threading.Thread(target=end_with_parent, args=(self._tether,), name="bicorn-tether", daemon=True).start()
        # Before there is a loop: the app's modules may run loops of their own while they are imported.
        self._config.load_app()
        self._target(sockets=sockets)


def end_with_parent(tether: Connection[Any, Any], answer: Callable[[], object] | None = None) -> None:
    """Wait until the parent is gone, then end gracefully.

    Args:
        answer: Called until then: it waits for a word of the parent, and raises EOFError or OSError when there is none.
    """
    answer = tether.recv_bytes if answer is None else answer
    try:
        while True:
            answer()
    except (EOFError, OSError):
        logger.warning("The parent process is gone, exiting.")
        os.kill(os.getpid(), signal.SIGTERM)

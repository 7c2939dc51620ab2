"""What a worker process gets from its supervisor, and what it has to tell it (see `bicorn.supervisors`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from bicorn._bicorn import Board


@dataclass
class Supervised:
    """A server's place among the workers of one service."""

    board: Board
    """The figures of all workers."""
    slot: int
    """Where this worker keeps its own."""
    admin_sockets: list[socket.socket]
    """Management listeners, which all workers share."""
    on_ready: Callable[[], None]
    """To be called once requests are served."""
    on_limit: Callable[[], None]
    """To be called once the worker has answered as many requests as it may: it wants to be replaced, and serves on."""

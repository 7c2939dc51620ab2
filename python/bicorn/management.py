"""What others may know of a server: its slot on a board, and the management listener of `--admin-bind`.

Rust writes the figures and answers who asks for them (`bicorn_server::admin`), on a thread of its own; here is when
that begins, and what the server says of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bicorn._bicorn import Board
from bicorn.listeners import admin_file, bind_admin
from bicorn.signals import signals_blocked

if TYPE_CHECKING:
    from bicorn._bicorn import AdminListener
    from bicorn.config import Config
    from bicorn.socket_file import SocketFile
    from bicorn.supervised import Supervised


class Management:
    """The figures of one server; nobody sees them without a supervisor and without `admin_bind`."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self.board: Board | None = None
        self.slot = 0
        self._listener: AdminListener | None = None
        self._file: SocketFile | None = None

    def start(self, config: Config, supervised: Supervised | None) -> None:
        """Show figures from here on: to the supervisor, and to whoever asks the management listener.

        Raises:
            OSError: The management listener cannot be bound.
        """
        if supervised is not None:
            self.board, self.slot = supervised.board, supervised.slot
            listeners = supervised.admin_sockets
        elif config.admin_bind is not None:
            listeners = bind_admin(config)
            self.board = Board(1)
            self._file = admin_file(config)
        else:
            return
        self.set_state("starting")
        if listeners:
            from bicorn._bicorn import AdminListener

            with signals_blocked():
                self._listener = AdminListener(self.board, [listener.fileno() for listener in listeners])
            # Rust has descriptors of its own.
            for listener in listeners:
                listener.close()

    def set_state(self, state: str) -> None:
        """Say where the server is in its life: "starting", "ready" or "leaving"."""
        if self.board is not None:
            self.board.set_state(self.slot, state)

    def set_draining(self) -> None:
        """Say that the service is about to end."""
        if self.board is not None:
            self.board.set_draining(True)

    def close(self) -> None:
        """Answer nobody any more; may be called twice."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._file is not None:
            self._file.remove()
            self._file = None

"""`Worker`: a worker process from the inside. Its supervisor makes it, and it goes to the child whole.

    supervisor ──▶ worker   PING       answer STARTING or STARTED
                            RETIRE     finish politely: a successor serves
                            (closed)   the supervisor is gone: drain and end
    worker ──▶ supervisor   STARTED    serves, from now on
                            LIMIT      has had its number of requests, and serves on until it is told to retire

A thread waits for the supervisor's words, from before the app is imported. Pings about life and death are not among
them: those are answered without Python, see `pulse.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing import reduction
from typing import TYPE_CHECKING

from bicorn._bicorn import Board, Heartbeat
from bicorn.constants import STARTUP_FAILURE
from bicorn.server import Server
from bicorn.signals import signals_blocked
from bicorn.supervised import Supervised
from bicorn.supervisors.tether import end_with_parent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

    from bicorn.config import Config

PING = b"ping"
RETIRE = b"retire"
STARTING = b"starting"
STARTED = b"started"
LIMIT = b"limit"


@dataclass
class Place:
    """Where a worker shows how it does: its slot of the board, and the sockets at which it may be asked."""

    board: Board
    slot: int
    admin_sockets: list[socket.socket]

    def __reduce__(self) -> tuple[Callable[..., Place], tuple[object, ...]]:
        """Go to a spawned process: the board as its descriptor."""
        return _attach_place, (reduction.DupFd(self.board.fileno()), self.slot, self.admin_sockets)


def _attach_place(board: Any, slot: int, admin_sockets: list[socket.socket]) -> Place:
    descriptor = board.detach()
    try:
        return Place(Board.attach(descriptor), slot, admin_sockets)
    finally:
        os.close(descriptor)


class Worker:
    """What a worker process needs, and what it does."""

    def __init__(
        self,
        config: Config,
        control: Connection,
        heartbeat: Connection,
        target: Callable[..., object] | None,
        place: Place | None,
    ) -> None:
        """Keep it all; used in the child only.

        Args:
            target: What to call with `sockets`; None is `Server.run` of a new server.
        """
        self.config = config
        self.control = control
        self.heartbeat = heartbeat
        self._target = target
        self._place = place
        self._server: Server | None = None
        # Called in a forked child, which has a copy of everything that is the supervisor's.
        self.leave_supervisor: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Go to a spawned process, which has nothing of the supervisor's."""
        return {**self.__dict__, "leave_supervisor": None}

    @property
    def server(self) -> Server:
        """The server of this process: the one whose `run` is the target, or one of its own."""
        if self._server is None:
            owner = getattr(self._target, "__self__", None)
            self._server = owner if isinstance(owner, Server) else Server(self.config)
        return self._server

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; the target of the child process."""
        if self.leave_supervisor is not None:
            self.leave_supervisor()
        self._keep_from_grandchildren(sockets or [])
        if sys.platform == "win32":
            # There is no SIGTERM between processes: the supervisor sends CTRL_BREAK_EVENT.
            signal.signal(signal.SIGBREAK, lambda number, frame: signal.raise_signal(signal.SIGTERM))
        else:
            # A terminal that is closed sends it to everybody; it is for the supervisor to answer.
            signal.signal(signal.SIGHUP, lambda number, frame: None)
            with signals_blocked():
                Heartbeat(self.heartbeat.fileno())
        self.heartbeat.close()
        with signals_blocked():
            arguments = (self.control, self.answer)
            threading.Thread(target=end_with_parent, args=arguments, name="bicorn-control", daemon=True).start()
        target = self.server.run if self._target is None else self._target
        if not isinstance(getattr(target, "__self__", None), Server):
            # It does not tell when it has started.
            self._send(STARTED)
        elif self._place is not None:
            place = self._place
            self.server.supervised = Supervised(
                place.board,
                place.slot,
                place.admin_sockets,
                on_ready=lambda: self._send(STARTED),
                on_limit=lambda: self._send(LIMIT),
            )
        try:
            # Before there is a loop: the app's modules may run loops of their own while they are imported.
            self.config.load_app()
            target(sockets=sockets)
        except Exception:
            # The traceback says where. A worker that tried again would meet it again.
            sys.excepthook(*sys.exc_info())
            sys.exit(STARTUP_FAILURE)

    def _keep_from_grandchildren(self, sockets: list[socket.socket]) -> None:
        """Mark what was inherited as not to be inherited on: programs that the app starts have no use for it."""
        if sys.platform == "win32":
            return
        admin_sockets = [] if self._place is None else self._place.admin_sockets
        for descriptor in (self.control.fileno(), *(one.fileno() for one in (*sockets, *admin_sockets))):
            os.set_inheritable(descriptor, False)

    def answer(self) -> None:
        """Wait for one word of the supervisor and do what it says."""
        word = self.control.recv_bytes()
        if word == PING:
            self._send(STARTED if self.server.started else STARTING)
        elif word == RETIRE:
            self._retire()

    def _retire(self) -> None:
        if self.server.started:
            self.server.retire()
        else:
            # It has taken no connection yet; and one that imports its app has no handler yet, and just ends.
            os.kill(os.getpid(), signal.SIGTERM)

    def _send(self, word: bytes) -> None:
        # So short a message is one write, which no other thread's can come between. OSError: the supervisor is gone.
        with contextlib.suppress(OSError):
            self.control.send_bytes(word)

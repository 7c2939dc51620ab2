"""`Process`: one worker, seen from its supervisor. Names are uvicorn's.

    start ─▶ starting ─▶ ready ─▶ leaving ─▶ gone (`exitcode`)
                STARTED      retire, terminate

Which of its workers a supervisor starts and ends, and when, is not decided here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from multiprocessing import Pipe, connection
from typing import TYPE_CHECKING

from bicorn._subprocess import get_subprocess, is_forked
from bicorn.server import REPLACED_GRACE_SECONDS
from bicorn.signals import signals_blocked
from bicorn.supervisors.pulse import Pulse
from bicorn.supervisors.worker import LIMIT, PING, RETIRE, STARTED, STARTING, Place, Worker

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Sequence

    from bicorn.config import Config
    from bicorn.server import Server
    from bicorn.supervisors.wakeup import ExitFlag

logger = logging.getLogger("uvicorn.error")


def split_arguments(
    arguments: Sequence[object], target: Callable[..., object] | None, sockets: list[socket.socket] | None
) -> tuple[Callable[..., object] | None, list[socket.socket]]:
    """Tell target and sockets apart: uvicorn 0.54 has `(config, sockets)`, older ones `(config, target, sockets)`."""
    for argument in arguments:
        if callable(argument) and target is None:
            target = argument
        elif isinstance(argument, list) and sockets is None:
            sockets = argument
        else:
            raise TypeError(f"expected (config, sockets) or (config, target, sockets), got {arguments!r}")
    if sockets is None:
        raise TypeError("missing argument: sockets")
    return target, sockets


class Process:
    """A worker process, and its supervisor's ends of what connects the two."""

    def __init__(
        self,
        config: Config,
        *arguments: object,
        target: Callable[..., object] | None = None,
        sockets: list[socket.socket] | None = None,
        place: Place | None = None,
    ) -> None:
        """Make what will be started; `arguments` are `sockets`, or `target, sockets`."""
        target, sockets = split_arguments(arguments, target, sockets)
        self.config = config
        self.place = place
        self.parent_conn, self.child_conn = Pipe()
        self.pulse = Pulse()
        self.worker = Worker(config, self.child_conn, self.pulse.theirs, target, place)
        self.process = get_subprocess(config, self.worker.run, sockets)
        # What its supervisor keeps about it: which SIGHUP it came after, and how many workers before it died early.
        self.generation = 0
        self.early_deaths = 0
        # Whether it has served the requests it may, and waits for its successor.
        self.has_reached_limit = False
        # When it is killed if it is still there; and whether it was, because it did not answer.
        self.kill_at: float | None = None
        self.is_hung = False
        self._ready_at: float | None = None
        self._answers = 0
        self._pidfd: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return self.process.pid

    @property
    def exitcode(self) -> int | None:
        """The exit code, negative for a signal; None while the process is there."""
        return self.process.exitcode

    @property
    def server(self) -> Server:
        """The server that the child will run: this process has a copy of it that never serves."""
        return self.worker.server

    @property
    def sentinel(self) -> int:
        """What becomes readable when the process ends."""
        # multiprocessing's is a pipe, which does not end as long as a process that the worker has forked lives.
        return self.process.sentinel if self._pidfd is None else self._pidfd

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; this is for the child process."""
        self.worker.run(sockets)

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: The system has no room for another.
        """
        with contextlib.ExitStack() as stack:
            if is_forked(self.config):
                # A signal must not meet the supervisor's handlers in the child: `leave_supervisor` unblocks.
                stack.enter_context(signals_blocked())
            self.process.start()
        # The child has its own.
        self.child_conn.close()
        self.pulse.theirs.close()
        if sys.platform == "linux":
            # OSError: an old kernel.
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self.process.pid)  # type: ignore[arg-type]  # it has been started

    def served_seconds(self, now: float) -> float:
        """Return for how long it has been ready; 0 if it is not."""
        return 0.0 if self._ready_at is None else now - self._ready_at

    # What it says.

    def ping(self, timeout: float = 5) -> bool:
        """Ask for an answer from Python, and tell whether it came within `timeout` seconds."""
        heard = self._answers
        try:
            self.parent_conn.send_bytes(PING)
        except OSError:
            return False
        deadline = time.monotonic() + timeout
        while self._answers == heard:
            if not self._hear(max(0.0, deadline - time.monotonic())):
                return False
        return True

    def pong(self) -> None:
        """Answer one ping; this is for the child process."""
        self.worker.answer()

    def always_pong(self) -> None:
        """Answer pings until nobody can ask any more; this is for the child process."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.pong()

    def is_alive(self, timeout: float = 5) -> bool:
        """Tell whether the process is there and Python in it answers within `timeout` seconds."""
        return self.process.is_alive() and self.ping(timeout)

    def is_ready(self, timeout: float = 5) -> bool:
        """Tell whether it serves, by what it has said, or says within `timeout` seconds; with 0 it is not asked."""
        self.hear()
        return self._ready_at is not None or (timeout > 0 and self.ping(timeout) and self._ready_at is not None)

    def wait_until_ready(self, timeout: float, should_exit: ExitFlag | threading.Event | None = None) -> bool:
        """Wait until it serves; False if it does not in `timeout` seconds, has ended, or `should_exit` is set."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if (should_exit is not None and should_exit.is_set()) or not self.process.is_alive():
                return False
            if self.is_ready(timeout=0):
                return True
            # An event of threading's has nothing to wait for, so look again soon.
            connection.wait([self.sentinel, self.parent_conn], min(left, 0.1))
        return False

    def hear(self) -> None:
        """Take in what it has said."""
        while self._hear(0):
            pass

    @property
    def is_closed(self) -> bool:
        """Whether its supervisor has nothing to do with it any more."""
        return self.parent_conn.closed and self.child_conn.closed and self.pulse.is_closed

    @property
    def can_speak(self) -> bool:
        """Whether there may be something to hear: not once its end of the connection is closed."""
        return not self.parent_conn.closed

    def _hear(self, timeout: float) -> bool:
        """Wait for one word; tell whether it came."""
        try:
            if self.parent_conn.closed or not self.parent_conn.poll(timeout):
                return False
            word = self.parent_conn.recv_bytes()
        except (EOFError, OSError):
            self.parent_conn.close()
            return False
        if word == STARTED and self._ready_at is None:
            self._ready_at = time.monotonic()
        elif word == LIMIT:
            self.has_reached_limit = True
        if word in (STARTING, STARTED):
            self._answers += 1
        return True

    # How it ends.

    def retire(self) -> None:
        """Ask it to finish politely: its connections end after their next exchange, and then the process."""
        logger.info("Terminated child process [%s]", self.pid)
        self._kill_after(REPLACED_GRACE_SECONDS)
        try:
            self.parent_conn.send_bytes(RETIRE)
        except OSError:
            self._interrupt()

    def terminate(self) -> None:
        """Ask it to drain and end."""
        if self.exitcode is not None:
            return
        logger.info("Terminated child process [%s]", self.pid)
        self._kill_after(0)
        self._interrupt()

    def _kill_after(self, seconds: float) -> None:
        """Let it be killed when it has not ended by itself, after so many seconds and the drain's timeout."""
        if self.config.timeout_graceful_shutdown is not None:
            drained = seconds + self.config.timeout_graceful_shutdown
            self.kill_at = time.monotonic() + drained + KILL_GRACE_SECONDS

    def _interrupt(self) -> None:
        assert self.pid is not None
        # ProcessLookupError: it has just ended.
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                # There is no SIGTERM between processes.
                os.kill(self.pid, signal.CTRL_BREAK_EVENT)
            else:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self.process.kill()

    def join(self) -> None:
        """Wait until it has ended."""
        logger.info("Waiting for child process [%s]", self.pid)
        self.process.join()

    def close(self) -> None:
        """Give up what connects to it; if it still runs, it will drain and end."""
        self.close_supervisor_ends()
        self.child_conn.close()
        self.pulse.theirs.close()

    def close_supervisor_ends(self) -> None:
        """Give up what is the supervisor's; a forked child must, or nobody would notice that the supervisor is gone."""
        self.parent_conn.close()
        self.pulse.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


# How much longer than `timeout_graceful_shutdown` a worker may take, for tasks that are cancelled and for the app's
# lifespan. Arbitrary; not measured.
KILL_GRACE_SECONDS = 5.0

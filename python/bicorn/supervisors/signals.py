"""Signals that a supervisor answers, under the names that uvicorn gives the answers.

A handler only puts its signal into a queue and ends the supervisor's sleep; the answers are given between two sleeps,
where nothing is half done.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bicorn.supervisors.wakeup import ExitFlag, SignalQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from bicorn.config import Config

SIGNALS = {
    int(getattr(signal, f"SIG{name}")): name
    for name in ("INT", "TERM", "BREAK", "HUP", "QUIT", "TTIN", "TTOU", "USR1", "USR2", "WINCH")
    if hasattr(signal, f"SIG{name}")
}

logger = logging.getLogger("uvicorn.error")


class SignalAnswers(ABC):
    """The part of `Multiprocess` that answers signals; those without a `handle_…` are ignored."""

    def __init__(self, config: Config, wake: Callable[[], None]) -> None:
        """Take the signals over; `wake` ends the supervisor's sleep."""
        self.config = config
        # How many workers there should be.
        self.processes_num = config.workers
        # Set it to end; from any thread, and from a signal handler.
        self.should_exit = ExitFlag()
        # When the service ends, after SIGTERM with `--drain-delay`.
        self.exit_at = math.inf
        self.signal_queue = SignalQueue(wake)
        for number in SIGNALS:
            signal.signal(number, self._queue_signal)
        if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            # Inherited: the kernel would keep to itself that workers die, and of what.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _queue_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal_queue.append(number)

    # What is done, which `Multiprocess` can.

    @abstractmethod
    def restart_all(self) -> None:
        """Replace every worker."""

    @abstractmethod
    def add_process(self) -> None:
        """Have one worker more."""

    @abstractmethod
    def remove_process(self) -> None:
        """Have one worker less."""

    @abstractmethod
    def kill_all(self) -> None:
        """End every worker at once."""

    @abstractmethod
    def set_draining(self) -> None:
        """Say that the service is about to end."""

    # Which signal asks for what.

    def handle_signals(self) -> None:
        """Answer the signals that have arrived."""
        while (number := self.signal_queue.take()) is not None:
            name = SIGNALS[number]
            handle = getattr(self, f"handle_{name.lower()}", None)
            if handle is None:
                logger.debug("Received signal %s, but no handler is defined for it.", name)
            else:
                handle()

    def handle_int(self) -> None:
        """Drain and end; at once if that is being done."""
        if self.should_exit.is_set():
            logger.info("Received SIGINT, killing child processes.")
            self.kill_all()
            return
        logger.info("Received SIGINT, exiting.")
        self.should_exit.set()

    def handle_term(self) -> None:
        """Drain and end, after `--drain-delay`."""
        if self.should_exit.is_set() or self.exit_at != math.inf:
            return
        logger.info("Received SIGTERM, exiting.")
        if self.config.drain_delay > 0:
            logger.info("Serving for %g seconds more, not ready any longer.", self.config.drain_delay)
            self.set_draining()
            self.exit_at = time.monotonic() + self.config.drain_delay
        else:
            self.should_exit.set()

    def handle_break(self) -> None:
        """Drain and end: Windows' SIGTERM."""
        logger.info("Received SIGBREAK, exiting.")
        self.should_exit.set()

    def handle_hup(self) -> None:
        """Replace every worker, one by one."""
        if not self.should_exit.is_set():
            logger.info("Received SIGHUP, restarting processes.")
            self.restart_all()

    def handle_ttin(self) -> None:
        """Have one worker more."""
        if not self.should_exit.is_set():
            logger.info("Received SIGTTIN, increasing the number of processes.")
            self.add_process()

    def handle_ttou(self) -> None:
        """Have one worker less, but at least one."""
        if self.should_exit.is_set():
            return
        logger.info("Received SIGTTOU, decreasing number of processes.")
        if self.processes_num <= 1:
            logger.info("Already reached one process, cannot decrease the number of processes anymore.")
            return
        self.remove_process()

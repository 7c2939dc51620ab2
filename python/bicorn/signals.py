"""Which signals end a server, and which threads get to see signals at all."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

HANDLED_SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if sys.platform == "win32":
    HANDLED_SIGNALS += (signal.SIGBREAK,)

# These go to the thread that is at fault: blocking them would hide the fault from faulthandler and from Rust.
FAULT_SIGNALS = {signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
if sys.platform != "win32":
    FAULT_SIGNALS |= {signal.SIGBUS, signal.SIGSYS, signal.SIGTRAP}


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Let threads that start inside inherit a mask that keeps signals for Python's threads.

    A signal to the process goes to any thread that takes it. One that a Rust thread took would not interrupt the
    system call in which the loop thread sleeps, and Python's handler would run at the next request.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULT_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def answered_by(handler: Callable[[int, FrameType | None], None], captured: list[int]) -> Iterator[None]:
    """Have a handler for what ends a server inside, and raise what was `captured` again afterwards.

    Only the main thread can have handlers; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, handler) for number in HANDLED_SIGNALS}
    try:
        yield
    finally:
        for number, former_handler in former.items():
            signal.signal(number, former_handler)
    # The last one first: the first, which asked for the end, decides how the process ends.
    for raised in reversed(captured):
        signal.raise_signal(raised)

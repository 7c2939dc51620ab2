"""Which signals end a server, and which threads get to see signals at all."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
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
        with _loop_woken_by_signals():
            yield
    finally:
        for number, former_handler in former.items():
            signal.signal(number, former_handler)
    # The last one first: the first, which asked for the end, decides how the process ends.
    for raised in reversed(captured):
        signal.raise_signal(raised)


@contextlib.contextmanager
def _loop_woken_by_signals() -> Iterator[None]:
    """Let a signal wake the running loop, if it has nothing for that itself.

    Python runs handlers between two instructions, and none while the loop sleeps in a system call. A signal that
    interrupts the call is noticed; one that comes a microsecond before it is not, until something else wakes the loop.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield
        return
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        former = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            if former == -1:
                # NotImplementedError: a loop without readers, which looks at signals itself.
                with contextlib.suppress(NotImplementedError):
                    loop.add_reader(ours, _discard, ours)
            else:
                # uvloop's, or a process manager's.
                signal.set_wakeup_fd(former)
            yield
        finally:
            # The application may have put its own there.
            if (present := signal.set_wakeup_fd(-1)) != theirs.fileno():
                signal.set_wakeup_fd(present)
            if former == -1:
                with contextlib.suppress(NotImplementedError):
                    loop.remove_reader(ours)


def _discard(stream: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        stream.recv(4096)

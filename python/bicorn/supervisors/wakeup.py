"""What ends a supervisor's sleep: signals, an exit flag, and whoever has put something into its queue.

A supervisor sleeps in one `multiprocessing.connection.wait` for everything at once, so each of these has a descriptor
that becomes readable. Nothing here takes a lock: all of it may be called from a signal handler, also from one that
interrupts another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from multiprocessing import connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Waker:
    """Readable from `wake` to `drain`."""

    def __init__(self) -> None:
        """Open a pair of sockets: unlike pipes, they can be waited for on every system."""
        reader, writer = socket.socketpair()
        self._reader, self._writer = _Socket(fileno=reader.detach()), _Socket(fileno=writer.detach())
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @property
    def waitable(self) -> socket.socket:
        """What `connection.wait` waits for: Windows needs the object, not its number."""
        return self._reader

    def wake(self) -> None:
        """Become readable; from any thread, and from a signal handler."""
        # OSError: it is full, and so readable already; or closed, and nobody waits.
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def drain(self) -> None:
        """Be readable no longer."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    @contextlib.contextmanager
    def woken_by_signals(self) -> Iterator[None]:
        """Let a signal wake at the moment it comes, not when Python gets to its handler.

        Without this, one that came just before the sleep would be slept over. Only the main thread can ask for it; in
        other threads this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            # ValueError, OSError: its owner has closed it.
            with contextlib.suppress(ValueError, OSError):
                signal.set_wakeup_fd(-1)
                signal.set_wakeup_fd(former)

    def close(self) -> None:
        """Give up both ends."""
        self._reader.close()
        self._writer.close()


class _Socket(socket.socket):
    """Closed with its owner, without the warning: a supervisor that was made and never run has done nothing wrong."""

    def __del__(self) -> None:
        self.close()


class ExitFlag:
    """A `threading.Event` that can also be waited for together with other things."""

    def __init__(self) -> None:
        """Begin unset."""
        self._waker = Waker()
        self._is_set = False

    @property
    def waitable(self) -> socket.socket:
        """What is readable from `set` on."""
        return self._waker.waitable

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, for good; from any thread, and from a signal handler."""
        self._is_set = True
        self._waker.wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until it is set, or for `timeout` seconds; tell whether it is set."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._is_set:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            connection.wait([self.waitable], left)
        return self._is_set

    def close(self) -> None:
        """Give up what can be waited for."""
        self._waker.close()


class SignalQueue(list[int]):
    """Signals that were received and wait for the supervisor, in their order."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Begin empty; `wake` ends the supervisor's sleep."""
        super().__init__()
        self._wake = wake

    def append(self, number: int) -> None:
        """Add a signal and have it answered at once."""
        super().append(number)
        self._wake()

    def take(self) -> int | None:
        """Remove the first signal and return it; None if there is none."""
        try:
            return self.pop(0)
        except IndexError:
            return None

"""`Pulse`: whether a worker still lives, by bytes that a thread in it sends back.

That thread never needs the interpreter (`_bicorn.Heartbeat`), so an app that computes, or blocks its loop, does not
look dead; a process that was stopped, or that the machine does not run any more, does.
"""

from __future__ import annotations

import contextlib
import os
import sys
from multiprocessing import Pipe

# How long a new process may take until its first answer, if the health check allows less: to start an interpreter on a
# machine that starts many. Arbitrary; not measured.
FIRST_ANSWER_SECONDS = 30.0


class Pulse:
    """The supervisor's end of one worker's heartbeat."""

    def __init__(self) -> None:
        """Open a pair of connections; nothing is asked before `beat`."""
        self._ours, self.theirs = Pipe()
        self._has_answered = False
        self._unanswered_since: float | None = None
        if sys.platform != "win32":
            os.set_blocking(self._ours.fileno(), False)

    def beat(self, now: float) -> None:
        """Hear what was answered, and ask again."""
        # A connection of Windows has no descriptor.
        if sys.platform == "win32" or self._ours.closed:
            return
        with contextlib.suppress(OSError):
            if os.read(self._ours.fileno(), 4096):
                self._has_answered = True
                self._unanswered_since = None
        if self._unanswered_since is None:
            self._unanswered_since = now
        with contextlib.suppress(OSError):
            os.write(self._ours.fileno(), b"\0")

    def forgive(self, now: float) -> None:
        """Count silence from here on: it was this process that did not listen."""
        if self._unanswered_since is not None:
            self._unanswered_since = now

    def is_silent(self, now: float, timeout: float) -> bool:
        """Tell whether nothing came back for `timeout` seconds, as of the last `beat`."""
        allowed = timeout if self._has_answered else max(timeout, FIRST_ANSWER_SECONDS)
        return self._unanswered_since is not None and now - self._unanswered_since >= allowed

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._ours.closed

    def close(self) -> None:
        """Give up the supervisor's end."""
        self._ours.close()

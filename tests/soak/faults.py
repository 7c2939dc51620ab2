"""What goes wrong while the clients talk, and which of their troubles that explains."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests import processes, raw
from tests.soak.talk import Talk

CROWD = 300
CROWD_SECONDS = 1.0
FREEZE_SECONDS = 0.3
BLOCK_MILLISECONDS = 500
NO_DESCRIPTORS_SECONDS = 1.0
# From a signal until the last connection that is to leave has left.
LEAVING_SECONDS = 30.0


class Faults:
    """Causes faults, and remembers when."""

    def __init__(self, supervisor: int, talk: Talk) -> None:
        self.supervisor = supervisor
        self.counts: dict[str, int] = {}
        self._talk = talk
        self._draw = talk.draw
        self._kills: list[float] = []
        self._left_at = -LEAVING_SECONDS
        self._exhausted_at = -LEAVING_SECONDS
        self._unequal = 0
        self._last = "no fault", time.monotonic()

    def workers(self) -> list[int]:
        """Return the process ids of the workers, the oldest first."""
        path = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children")
        return [pid for pid in map(int, path.read_text().split()) if _is_worker(pid)]

    def cause(self, kinds: tuple[Callable[[Faults], None], ...]) -> str:
        """Draw one, and see it through."""
        kind = self._draw.choice(kinds)
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        self._last = kind.__name__, time.monotonic()
        # The process that it was about may have left.
        with suppress(ProcessLookupError, FileNotFoundError):
            kind(self)
        return kind.__name__

    def last(self) -> str:
        """Say what happened last, and how long ago."""
        kind, at = self._last
        return f"{kind} {time.monotonic() - at:.2f} s ago"

    def explain_loss(self, begun: float) -> bool:
        """Whether a connection that has been there since `begun` may have been lost with its worker."""
        return any(begun <= kill for kill in self._kills[-20:])

    def explain_file(self) -> bool:
        """Whether a file could not be opened."""
        return time.monotonic() < self._exhausted_at + 3 * NO_DESCRIPTORS_SECONDS

    def explain_leave(self) -> bool:
        """Whether a worker may say that it leaves."""
        return time.monotonic() < self._left_at + LEAVING_SECONDS

    def roll(self) -> None:
        """Have all workers replaced."""
        self._left_at = time.monotonic()
        os.kill(self.supervisor, signal.SIGHUP)

    def kill(self) -> None:
        """Kill a worker."""
        victim = self._draw.choice(self.workers())
        # What is lost before the signal is nobody's but the server's.
        self._kills.append(time.monotonic())
        os.kill(victim, signal.SIGKILL)

    def resize(self) -> None:
        """Have one worker more, and the next time one less."""
        self._left_at = time.monotonic()
        os.kill(self.supervisor, signal.SIGTTOU if self._unequal else signal.SIGTTIN)
        self._unequal = 1 - self._unequal

    def freeze(self) -> None:
        """Stop a worker in the middle of whatever it does, for a moment."""
        victim = self._draw.choice(self.workers())
        os.kill(victim, signal.SIGSTOP)
        time.sleep(FREEZE_SECONDS)
        os.kill(victim, signal.SIGCONT)

    def block(self) -> None:
        """Block a worker's event loop."""
        with suppress(OSError, raw.Closed), self._talk.connect() as client:
            client.exchange(raw.request(target=f"/block/{BLOCK_MILLISECONDS}"))

    def exhaust_descriptors(self) -> None:
        """Leave a worker without descriptors for a moment."""
        victim = self._draw.choice(self.workers())
        before = resource.prlimit(victim, resource.RLIMIT_NOFILE)
        self._exhausted_at = time.monotonic()
        resource.prlimit(victim, resource.RLIMIT_NOFILE, (processes.open_files(victim), before[1]))
        time.sleep(NO_DESCRIPTORS_SECONDS)
        resource.prlimit(victim, resource.RLIMIT_NOFILE, before)

    def crowd(self) -> None:
        """Open many connections that say nothing, or a part of something, and reset them."""
        with ExitStack() as stack:
            clients = [stack.enter_context(raw.Client(port=self._talk.port, timeout=20)) for _ in range(CROWD)]
            for client in clients[::2]:
                client.send(b"GET /async/half HTTP/1.1\r\nHo")
            time.sleep(CROWD_SECONDS)
            for client in clients:
                client.reset()


# Those that leave the workers alive, so that their memory can be compared; and all.
CALM = (Faults.freeze, Faults.block, Faults.exhaust_descriptors, Faults.crowd)
ALL = (*CALM, Faults.roll, Faults.kill, Faults.resize)


def _is_worker(pid: int) -> bool:
    """Whether a child is a worker: multiprocessing has a process to look after resources, too."""
    with suppress(FileNotFoundError):
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False

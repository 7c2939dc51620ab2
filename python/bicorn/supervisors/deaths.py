"""Deaths of workers: what a process died of, and when its successor starts."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

# A worker that has not served for so long died young. Arbitrary, but longer than an app that crashes at its first
# request lives under load, and shorter than the time between two mishaps that have nothing to do with each other.
YOUNG_SECONDS = 3.0
# After so long nobody remembers former deaths.
HEALTHY_SECONDS = 60.0
# How long to wait before a successor is started: after the first early death in a row, the second, …
RESPAWN_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


def early_deaths(former: int, served_seconds: float) -> int:
    """Count a death: how many early ones in a row there are with it.

    Args:
        former: How many there had been when the worker started.
        served_seconds: For how long it was ready; 0 if it never was.
    """
    if served_seconds >= HEALTHY_SECONDS:
        return 0
    return former + 1 if served_seconds < YOUNG_SECONDS else former


def respawn_delay(deaths: int, served_seconds: float) -> float:
    """Return the seconds to wait before the successor, of a worker whose death made `deaths` early ones."""
    if served_seconds >= YOUNG_SECONDS:
        return 0.0
    return RESPAWN_DELAYS[min(deaths, len(RESPAWN_DELAYS)) - 1]


class OutOfMemoryKills:
    """Tells whether the kernel has killed a process of this container, or of this machine, for its memory."""

    def __init__(self) -> None:
        """Remember how many it has killed so far."""
        self._files = [path for path in _counters() if _oom_kills(path) is not None]
        self._before = self._count()

    @property
    def can_tell(self) -> bool:
        """Whether the kernel counts them where this process may read."""
        return bool(self._files)

    def has_risen(self) -> bool:
        """Tell whether there was one since the last call."""
        before, self._before = self._before, self._count()
        return self._before > before

    def _count(self) -> int:
        return max((_oom_kills(path) or 0 for path in self._files), default=0)


def _counters() -> list[Path]:
    """Return where the kernel counts: the own cgroup first, which is exact; else all of the machine."""
    groups: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                groups.append(Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                groups.append(Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control")
    exact = [path for path in groups if _oom_kills(path) is not None]
    return exact or [Path("/proc/vmstat")]


def _oom_kills(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def describe_exit(exit_code: int, out_of_memory: OutOfMemoryKills) -> tuple[str, str]:
    """Say what a process died of: for the log, and as a cause that `Board.count_restart` knows."""
    if exit_code >= 0:
        return f"exit code {exit_code}", "exit"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    if -exit_code != _SIGKILL:
        return f"killed by {name}", "signal"
    is_memory = out_of_memory.has_risen()
    if is_memory or not out_of_memory.can_tell:
        text = f"killed by {name}, which is what the kernel does when memory is short"
        return text, "memory" if is_memory else "signal"
    return f"killed by {name}", "signal"


# Windows has none.
_SIGKILL = 9

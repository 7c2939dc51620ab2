"""What the kernel says about a server process. Linux only: tests that need it skip elsewhere."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not (PROC / "self" / "smaps_rollup").exists(), reason="needs Linux's /proc")

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    """Return what the process has allocated and touched; what it shares with others depends on how many they are."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1])
    raise AssertionError("no Anonymous line")


def forget_peak(pid: int) -> int:
    """Begin a new measurement of the peak and return what is resident now, in KiB."""
    # 5 resets the high-water mark (proc(5), clear_refs).
    (PROC / str(pid) / "clear_refs").write_text("5")
    return _status_kib(pid, "VmRSS")


def peak_kib(pid: int) -> int:
    """Return the most that was resident at any moment since `forget_peak`."""
    return _status_kib(pid, "VmHWM")


def _status_kib(pid: int, name: str) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} line")


def precise_cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads that live, by the scheduler's nanoseconds."""
    tasks = (PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def cpu_seconds(pid: int) -> float:
    """Return the CPU time the process has used, user and system."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def threads(pid: int) -> int:
    """Return the number of threads."""
    return len(list((PROC / str(pid) / "task").iterdir()))


def open_files(pid: int) -> int:
    """Return the number of open descriptors."""
    return len(list((PROC / str(pid) / "fd").iterdir()))


def wait_until_idle(pid: int, quiet: float = 0.3, timeout: float = 20.0) -> None:
    """Wait until the process has used no CPU time for `quiet` seconds (time itself is what is asked for)."""
    end = time.monotonic() + timeout
    before = cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(quiet)
        now = cpu_seconds(pid)
        if now == before:
            return
        before = now
    raise AssertionError(f"process {pid} is busy after {timeout} s")

"""CPU time and memory of a process tree, and of the machine, read from /proc (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """List a process and all its descendants, the root first."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            children.setdefault(parent(int(entry.name)), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def parent(pid: int) -> int:
    """Return the parent's id; 0 if the process is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def cpu_seconds(pids: list[int]) -> float:
    """Add up user and system time, all threads included."""
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, pids) if fields)
    return ticks / _TICKS_PER_SECOND


def machine_cpu_seconds() -> float:
    """Add up what all processes of the machine used, and what its host took away.

    Interrupt time is left out: it belongs to the loopback traffic of the run itself.
    """
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(
        int, (_PROC / "stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + steal) / _TICKS_PER_SECOND


def memory_bytes(pids: list[int]) -> int:
    """Add up the proportional set size: a page that several processes share counts once."""
    return sum(_pss(pid) for pid in pids)


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The second field, the name in parentheses, may hold spaces: split what follows it.
    return text[text.rindex(")") + 2 :].split()


def _pss(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

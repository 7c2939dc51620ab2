"""What a server costs apart from requests: start-up time, memory for idle connections, growth over many requests."""

from __future__ import annotations

import resource
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import load
import processes
from scenarios import by_name
from servers import RunningServer, Server, open_connections, request_hello

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STARTS = 10
IDLE_CONNECTIONS = 5_000
GROWTH_FROM, GROWTH_TO = 100_000, 1_000_000
_HELLO = by_name("hello-64")


@dataclass(frozen=True)
class Idle:
    """Memory of a server without load."""

    fresh_bytes: int
    """After its first answers."""
    bytes_per_connection: float
    """What each of 5,000 idle keep-alive connections adds."""


@dataclass(frozen=True)
class Growth:
    """Memory after 100,000 and after 1,000,000 requests."""

    early_bytes: int
    late_bytes: int
    requests: int
    """Requests between the two."""


def start_seconds(servers: Sequence[Server], scratch: Path) -> dict[str, float]:
    """Start each server ten times, in turns, and take the median time to the first answer."""
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(STARTS):
        for server in servers:
            with RunningServer(server, _HELLO.app, scratch / "server.log") as running:
                seconds[server.name].append(running.start_seconds)
    return {name: statistics.median(values) for name, values in seconds.items()}


def idle(server: Server, scratch: Path) -> Idle:
    """Measure memory before and while 5,000 connections are open and idle."""
    allow_files(2 * IDLE_CONNECTIONS)
    with RunningServer(server, _HELLO.app, scratch / "server.log", extra=server.keep_idle) as running:
        # One short crowd first, so that only memory which stays per connection is counted.
        with open_connections(running.port, 50):
            pass
        fresh = processes.memory_bytes(running.pids)
        with open_connections(running.port, IDLE_CONNECTIONS) as sockets:
            held = processes.memory_bytes(running.pids)
            # Had the server closed them, the memory would say nothing.
            for connection in sockets[::50]:
                request_hello(connection)
    return Idle(fresh, (held - fresh) / IDLE_CONNECTIONS)


def growth(server: Server, scratch: Path) -> Growth:
    """Measure memory after 100,000 requests and again after 1,000,000, at 64 connections."""
    with RunningServer(server, _HELLO.app, scratch / "server.log") as running:
        served = _serve(running, scratch, GROWTH_FROM)
        early = processes.memory_bytes(running.pids)
        more = _serve(running, scratch, GROWTH_TO - served)
        return Growth(early, processes.memory_bytes(running.pids), more)


def allow_files(count: int) -> None:
    """Raise the limit on open files for this process and the servers it starts.

    Raises:
        ValueError: The hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _serve(running: RunningServer, scratch: Path, requests: int) -> int:
    """Load in steps of a second until at least so many requests were answered."""
    served = 0
    # 600 steps: a server that answers 2,000 requests a second is still measured.
    for _ in range(600):
        if served >= requests:
            break
        served += load.requests_in_one_second(running, _HELLO, scratch)
    return served

"""One measured run of a load generator against a running server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import generators
import processes
from generators import LoadError

if TYPE_CHECKING:
    from pathlib import Path

    from scenarios import Scenario
    from servers import RunningServer

WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Sample:
    """What one run measured."""

    requests: int
    seconds: float
    cpu_seconds: float
    """User and system time of the server's process tree."""
    client_cores: float
    """Cores that the load generator kept busy; near 1.0 its one thread is the limit, not the server."""
    other_cores: float
    """Cores that neither the server nor its client kept busy: other work, or the machine's host taking them away."""
    p50_us: int | None
    p99_us: int | None
    memory_bytes: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the server per request."""
        return self.cpu_seconds / self.requests * 1e6


def measure(running: RunningServer, scenario: Scenario, seconds: int, scratch: Path) -> Sample:
    """Check the answer, warm the server up, and measure it."""
    check_answer(running, scenario)
    generators.run(running, scenario, WARM_UP_SECONDS, scratch)
    pids = running.pids
    before = _Clocks.read(pids)
    report = generators.run(running, scenario, seconds, scratch)
    after = _Clocks.read(pids)
    duration = report.seconds
    server, client = after.server - before.server, after.client - before.client
    return Sample(
        requests=report.requests,
        seconds=duration,
        cpu_seconds=server,
        client_cores=client / duration,
        other_cores=max(0.0, after.machine - before.machine - server - client) / duration,
        p50_us=report.p50_us,
        p99_us=report.p99_us,
        memory_bytes=processes.memory_bytes(pids),
    )


def check_answer(running: RunningServer, scenario: Scenario) -> None:
    """Ask once and compare, so that nothing is measured on errors.

    Raises:
        LoadError: The status is not 200 or the body is not the scenario's.
    """
    status, body = running.ask(scenario.method, scenario.path, scenario.body, scenario.content_type)
    if status != 200 or not scenario.is_right(body):
        raise LoadError(f"{running.server.name} answered {scenario.name} with {status} {body[:200]!r}")


def requests_in_one_second(running: RunningServer, scenario: Scenario, scratch: Path) -> int:
    """Load for a second and count the answers."""
    return generators.run(running, scenario, 1, scratch).requests


@dataclass(frozen=True)
class _Clocks:
    """CPU seconds so far."""

    server: float
    client: float
    machine: float

    @classmethod
    def read(cls, pids: list[int]) -> _Clocks:
        times = os.times()
        client = times.children_user + times.children_system + times.user + times.system
        return cls(processes.cpu_seconds(pids), client, processes.machine_cpu_seconds())

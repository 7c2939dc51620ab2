"""One measured run of wrk against a running server."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import processes

if TYPE_CHECKING:
    from scenarios import Scenario
    from servers import RunningServer

REPORT = Path(__file__).resolve().parent / "wrk" / "report.lua"
WARM_UP_SECONDS = 1


class LoadError(Exception):
    """The answers under load were not the ones to measure."""


@dataclass(frozen=True)
class Sample:
    """What one run measured."""

    requests: int
    seconds: float
    cpu_seconds: float
    """User and system time of the server's process tree."""
    client_cores: float
    """Cores that wrk kept busy; near 1.0 wrk's one thread is the limit, not the server."""
    other_cores: float
    """Cores that neither the server nor wrk kept busy: other work, or the machine's host taking them away."""
    p50_us: int
    p99_us: int
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
    _run_wrk(running, scenario, WARM_UP_SECONDS, scratch)
    pids = running.pids
    before = _Clocks.read(pids)
    report = _run_wrk(running, scenario, seconds, scratch)
    after = _Clocks.read(pids)
    duration = report["duration_us"] / 1e6
    server, client = after.server - before.server, after.client - before.client
    return Sample(
        requests=report["requests"],
        seconds=duration,
        cpu_seconds=server,
        client_cores=client / duration,
        other_cores=max(0.0, after.machine - before.machine - server - client) / duration,
        p50_us=report["p50_us"],
        p99_us=report["p99_us"],
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
    return _run_wrk(running, scenario, 1, scratch)["requests"]


def _run_wrk(running: RunningServer, scenario: Scenario, seconds: int, scratch: Path) -> dict[str, int]:
    url = f"http://127.0.0.1:{running.port}{scenario.path}"
    arguments = [scenario.method]
    if scenario.body is not None:
        body = scratch / "request-body"
        body.write_bytes(scenario.body)
        arguments += [scenario.content_type, str(body)]
    # One thread: it makes about 130,000 small requests a second, and leaves one of two cores to the server.
    options = ["-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(REPORT)]
    command = ["wrk", *options, url, "--", *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 60).stdout
    return _read_report(output)


def _read_report(output: str) -> dict[str, int]:
    lines = [line for line in output.splitlines() if line.startswith("WRK-REPORT ")]
    if not lines:
        raise LoadError(f"wrk printed no report: {output[-500:]}")
    report: dict[str, int] = json.loads(lines[-1].removeprefix("WRK-REPORT "))
    errors = {
        name: count for name, count in report.items() if count and (name.endswith("_errors") or name == "timeouts")
    }
    if errors or not report["requests"]:
        raise LoadError(f"{report['requests']} requests answered, with {errors or 'no errors'}")
    return report


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

"""The load generators: wrk for HTTP/1.1, h2load for HTTP/2, wsload (beside this file) for WebSocket.

Each is run for some seconds against a running server and says the same few things afterwards. All of them have one
thread: on two cores a second would take the server's core.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios import Scenario
    from servers import RunningServer

_HERE = Path(__file__).resolve().parent
WRK_REPORT = _HERE / "wrk" / "report.lua"
WSLOAD = _HERE.parent / "target" / "wsload" / "release" / "wsload"
# Seconds a generator may take beyond what it was asked for.
_GRACE_SECONDS = 60

_H2LOAD_COUNTS = re.compile(
    r"^requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", re.M
)
_H2LOAD_STATUSES = re.compile(r"^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", re.M)
_H2LOAD_DURATION = re.compile(r"^finished in ([\d.]+)(us|ms|s),", re.M)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class LoadError(Exception):
    """The answers under load were not the ones to measure."""


@dataclass(frozen=True)
class Report:
    """What a generator saw."""

    requests: int
    seconds: float
    p50_us: int | None = None
    """None where the generator does not say: h2load has no percentiles."""
    p99_us: int | None = None


def run(running: RunningServer, scenario: Scenario, seconds: int, scratch: Path) -> Report:
    """Load the server with what the scenario speaks.

    Raises:
        LoadError: An answer was wrong, late or missing.
    """
    if scenario.protocol == "http2":
        return _run_h2load(running, scenario, seconds)
    if scenario.protocol in ("websocket", "deflate"):
        return _run_wsload(running, scenario, seconds)
    return _run_wrk(running, scenario, seconds, scratch)


def _run_wrk(running: RunningServer, scenario: Scenario, seconds: int, scratch: Path) -> Report:
    arguments = [scenario.method]
    if scenario.body is not None:
        body = scratch / "request-body"
        body.write_bytes(scenario.body)
        arguments += [scenario.content_type, str(body)]
    # One thread makes about 130,000 small requests a second.
    options = ["-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(WRK_REPORT)]
    output = _output(["wrk", *options, f"{running.url}{scenario.path}", "--", *arguments], seconds)
    lines = [line for line in output.splitlines() if line.startswith("WRK-REPORT ")]
    if not lines:
        raise LoadError(f"wrk printed no report: {output[-500:]}")
    report: dict[str, int] = json.loads(lines[-1].removeprefix("WRK-REPORT "))
    errors = {
        name: count for name, count in report.items() if count and (name.endswith("_errors") or name == "timeouts")
    }
    if errors or not report["requests"]:
        raise LoadError(f"{report['requests']} requests answered, with {errors or 'no errors'}")
    return Report(report["requests"], report["duration_us"] / 1e6, report["p50_us"], report["p99_us"])


def _run_h2load(running: RunningServer, scenario: Scenario, seconds: int) -> Report:
    options = ["-t1", f"-c{scenario.connections}", f"-m{scenario.streams}", f"-D{seconds}"]
    output = _output(["h2load", *options, f"{running.url}{scenario.path}"], seconds)
    counts, statuses = _H2LOAD_COUNTS.search(output), _H2LOAD_STATUSES.search(output)
    duration = _H2LOAD_DURATION.search(output)
    if not (counts and statuses and duration) or not int(counts[1]) or any(map(int, counts.groups()[1:])):
        raise LoadError(f"h2load: {output[-1000:]}")
    return Report(int(counts[1]), float(duration[1]) * _SECONDS[duration[2]])


def _run_wsload(running: RunningServer, scenario: Scenario, seconds: int) -> Report:
    options = [f"--port={running.port}", f"--connections={scenario.connections}", f"--seconds={seconds}"]
    options += [f"--size={scenario.message_bytes}"]
    options += ["--deflate"] * (scenario.protocol == "deflate") + ["--binary"] * scenario.is_binary
    words = [part for option in options for part in option.split("=")]
    report = json.loads(_output([str(WSLOAD), *words], seconds))
    return Report(report["requests"], report["duration_us"] / 1e6, report["p50_us"], report["p99_us"])


def _output(command: list[str], seconds: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False)
    if done.returncode:
        name = Path(command[0]).name
        raise LoadError(f"{name} ended with {done.returncode}: {done.stderr[-500:]}{done.stdout[-500:]}")
    return done.stdout

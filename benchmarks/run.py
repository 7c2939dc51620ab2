"""Compares bicorn with uvicorn, granian and hypercorn: starts each in turns, loads it, prints Markdown.

Usage: python benchmarks/run.py [--help]. The method, and what the figures do not say, is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import apps
import footprint
import generators
import load
import report
from scenarios import SCENARIOS, USERS, Scenario, by_name
from servers import SERVERS, RunningServer, Server, StartError, bicorn, make_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

FOOTPRINTS = ("start", "idle", "growth")
"""Measurements without a table of requests; `growth` only when asked for."""
# A run is disturbed if other work kept more than this of the machine busy; on a machine at rest it comes out at 0.
DISTURBED_CORES = 0.05
ATTEMPTS = 3


def main() -> int:
    """Run what the command line asks for; 1 if any measurement failed."""
    options = _parse()
    for program in ("wrk", "h2load", "openssl", str(generators.WSLOAD)):
        if shutil.which(program) is None:
            print(f"{program} is not there: `make bench` makes or installs it", file=sys.stderr)
            return 2
    # The default action of SIGTERM would leave the servers running.
    signal.signal(signal.SIGTERM, _exit_on_signal)
    title = f"# Benchmark, {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    sections = [title, report.machine_section(options.seconds, options.rounds)]
    print("\n\n".join(sections), flush=True)
    bench = Bench(options.servers, options.rounds, options.seconds)
    with tempfile.TemporaryDirectory(prefix="bicorn-bench-") as folder:
        scratch = Path(folder)
        # The file of FileResponse; the servers inherit its name.
        os.environ["BENCH_FILE"] = str(scratch / "mebibyte")
        (scratch / "mebibyte").write_bytes(apps.MEBIBYTE)
        os.environ["BENCH_DATABASE"] = str(scratch / "users.sqlite3")
        _make_database(scratch / "users.sqlite3")
        bench.certificate = make_certificate(scratch)
        for name in options.scenarios:
            section = bench.run(name, scratch)
            sections.append(section)
            print(f"\n{section}", flush=True)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text("\n\n".join(sections) + "\n")
    for failure in bench.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if bench.failures else 0


class Bench:
    """The servers under comparison and what went wrong with them."""

    def __init__(self, servers: Sequence[Server], rounds: int, seconds: int) -> None:
        """Remember what to run."""
        self.servers = servers
        self.rounds = rounds
        self.seconds = seconds
        self.failures: list[str] = []
        self.certificate: tuple[Path, Path] | None = None

    def run(self, name: str, scratch: Path) -> str:
        """Measure a scenario or a footprint and return its section of the report."""
        # The footprints are those of HTTP/1.1.
        servers = [server for server in self.servers if "http1" in server.protocols and not server.is_variant]
        if name == "start":
            return report.start_section(footprint.start_seconds(servers, scratch))
        if name == "idle":
            return report.idle_section({server.name: footprint.idle(server, scratch) for server in servers})
        if name == "growth":
            return report.growth_section({server.name: footprint.growth(server, scratch) for server in servers})
        return self._compare(by_name(name), scratch)

    def _compare(self, scenario: Scenario, scratch: Path) -> str:
        """Measure a scenario, and its twin in the same rounds."""
        scenarios = [scenario, by_name(scenario.twin)] if scenario.twin else [scenario]
        # A server's run of a scenario and that of the twin are neighbours in time.
        runs = [
            (server, each)
            for server in self.servers
            for each in scenarios
            if each.protocol in server.protocols and server in self._invited(each)
        ]
        rounds: dict[str, list[dict[str, load.Sample]]] = {each.name: [] for each in scenarios}
        for round_number in range(self.rounds):
            for each in scenarios:
                rounds[each.name].append({})
            # The order turns with each round: a drift of the machine hits every server alike.
            turn = round_number % max(1, len(runs))
            for server, each in (*runs[turn:], *runs[:turn]):
                try:
                    rounds[each.name][-1][server.name] = self._measure_undisturbed(server, each, scratch)
                except (load.LoadError, StartError) as error:
                    self.failures.append(f"{each.name}, {server.name}: {error}")
        sections = [report.scenario_section(each, self._invited(each), rounds[each.name]) for each in scenarios]
        if scenario.twin:
            line = report.twin_line(scenario.twin, self.servers, rounds[scenario.name], rounds[scenario.twin])
            sections.insert(1, line)
        return "\n\n".join(sections)

    def _invited(self, scenario: Scenario) -> list[Server]:
        return [server for server in self.servers if not server.is_variant or server.name in scenario.variants]

    def _measure_undisturbed(self, server: Server, scenario: Scenario, scratch: Path) -> load.Sample:
        """Measure, again if something else used the machine meanwhile; the least disturbed sample counts."""
        samples: list[load.Sample] = []
        while len(samples) < ATTEMPTS and all(sample.other_cores > DISTURBED_CORES for sample in samples):
            samples.append(self._measure(server, scenario, scratch))
        return min(samples, key=lambda sample: sample.other_cores)

    def _measure(self, server: Server, scenario: Scenario, scratch: Path) -> load.Sample:
        log = scratch / "server.log"
        running = RunningServer(
            server,
            scenario.app,
            log,
            access_log=scenario.access_log,
            protocol=scenario.protocol,
            certificate=self.certificate if scenario.is_tls else None,
        )
        with running:
            sample = load.measure(running, scenario, self.seconds, scratch)
        if scenario.access_log:
            with log.open("rb") as lines:
                written = sum(b"GET / HTTP/1.1" in line for line in lines)
            if written < sample.requests:
                raise load.LoadError(f"{written} access log lines for {sample.requests} requests")
        return sample


def _parse() -> argparse.Namespace:
    scenarios = [*(scenario.name for scenario in SCENARIOS), *FOOTPRINTS]
    servers = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenarios", help=f"comma-separated, default all but growth: {', '.join(scenarios)}")
    parser.add_argument("--servers", help=f"comma-separated, default all: {', '.join(servers)}")
    parser.add_argument(
        "--bicorn",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help="also run the bicorn of another interpreter, under this name: before against after",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="measured seconds of each round (default 3)")
    parser.add_argument("--memory", action="store_true", help="also measure growth from 100,000 to 1,000,000 requests")
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    options.scenarios = _choose(parser, options.scenarios, scenarios, but="growth")
    if options.memory and "growth" not in options.scenarios:
        options.scenarios.append("growth")
    # A scenario brings its twin along.
    twins = {by_name(name).twin for name in options.scenarios if name not in FOOTPRINTS}
    options.scenarios = [name for name in options.scenarios if name not in twins]
    chosen = _choose(parser, options.servers, servers)
    # Who names a variant wants to see it in every scenario.
    is_named = options.servers is not None
    options.servers = [
        dataclasses.replace(server, is_variant=server.is_variant and not is_named)
        for server in SERVERS
        if server.name in chosen
    ]
    options.servers += [_other_bicorn(parser, pair) for pair in options.bicorn]
    return options


def _other_bicorn(parser: argparse.ArgumentParser, pair: str) -> Server:
    name, _, python = pair.partition("=")
    if not python:
        parser.error(f"--bicorn takes NAME=PYTHON, not {pair!r}")
    # A relative path would be looked up in the folder of the apps.
    return bicorn(name, str(Path(python).absolute()))


def _choose(parser: argparse.ArgumentParser, value: str | None, known: list[str], but: str = "") -> list[str]:
    if value is None:
        return [name for name in known if name != but]
    names = value.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def _make_database(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)")
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", USERS)


def _exit_on_signal(signum: int, _frame: object) -> NoReturn:
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())

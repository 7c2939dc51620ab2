"""Compares one worker with several on an endpoint that computes, for bicorn and uvicorn, in turns.

Usage: python benchmarks/workers.py [--workers 2] [--rounds 5] [--seconds 3]

Prints for each server the requests per second with one worker and with several, and their ratio within each round. The
load generator needs little: an answer takes about a millisecond of Python.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import generators
from scenarios import Scenario
from servers import SERVERS, START_DEADLINE, RunningServer, Server, StartError

APP = "workers_app:app"
SCENARIO = Scenario("compute", "An endpoint that computes", APP, 16, lambda body: b"total" in body, path="/compute")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Compare one worker with several.")
    parser.add_argument("--workers", type=int, default=2, help="how many are several")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    servers = [server for server in SERVERS if server.name in ("bicorn", "uvicorn")]
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bicorn-bench-") as folder:
        for number in range(options.rounds):
            for server in servers if number % 2 else reversed(servers):
                for workers in (1, options.workers):
                    rate = _measure(server, workers, options.seconds, Path(folder))
                    rates.setdefault((server.name, workers), []).append(rate)
    print(f"| server | 1 worker, req/s | {options.workers} workers, req/s | ratio |\n|---|---|---|---|")
    for server in servers:
        one, several = rates[server.name, 1], rates[server.name, options.workers]
        ratios = [after / before for before, after in zip(one, several, strict=True)]
        print(
            f"| {server.name} | {statistics.median(one):,.0f} | {statistics.median(several):,.0f} |"
            f" {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


def _measure(server: Server, workers: int, seconds: int, scratch: Path) -> float:
    command = (*server.command, "--workers", str(workers)) if workers > 1 else server.command
    log = scratch / "log"
    with RunningServer(replace(server, command=command), APP, log) as running:
        _wait_for_workers(log, workers)
        # Python's specialised code must be there.
        generators.run(running, SCENARIO, 2, scratch)
        report = generators.run(running, SCENARIO, seconds, scratch)
    return report.requests / report.seconds


def _wait_for_workers(log: Path, count: int) -> None:
    """Wait until every worker serves: connections that are there already stay with whoever has them."""
    deadline = time.monotonic() + START_DEADLINE
    while (served := log.read_text().count("Application startup complete.")) < count:
        if time.monotonic() > deadline:
            raise StartError(f"{served} of {count} workers started within {START_DEADLINE:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()

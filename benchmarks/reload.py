"""How long a change takes from its save to its first answer, and a killed worker to its successor.

Usage: python benchmarks/reload.py [--rounds N]   (both servers in turns; prints medians and ranges in seconds)
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = ("bicorn", "uvicorn")
APP = """
import os
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
async def answer() -> str:
    return "{0}"

@app.get("/pid")
async def pid() -> int:
    return os.getpid()
"""
# Until both servers surely watch and are at rest.
SETTLE_SECONDS = 1.0
EDITS = 5
KILLS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    reloads: dict[str, list[float]] = {name: [] for name in SERVERS}
    respawns: dict[str, list[float]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name in SERVERS:
            reloads[name] += _reload_seconds(name)
            respawns[name] += _respawn_seconds(name)
    for title, figures in (("save to served", reloads), ("kill to two workers", respawns)):
        for name, seconds in figures.items():
            median = statistics.median(seconds)
            print(f"{title:20} {name:8} {median:.3f} ({min(seconds):.3f} to {max(seconds):.3f}, {len(seconds)} times)")


def _reload_seconds(name: str) -> list[float]:
    with _running(name, "--reload") as (port, source):
        seconds = []
        for edit in range(EDITS):
            time.sleep(SETTLE_SECONDS)
            text = f"edit {edit}"
            begin = time.monotonic()
            source.write_text(APP.format(text))
            while _get(port, "/") != f'"{text}"':
                time.sleep(0.005)
            seconds.append(time.monotonic() - begin)
    return seconds


def _respawn_seconds(name: str) -> list[float]:
    with _running(name, "--workers", "2") as (port, _):
        seconds = []
        for _ in range(KILLS):
            pids = _pids(port, set())
            # Longer than what bicorn calls an early death.
            time.sleep(SETTLE_SECONDS + 3)
            victim = min(pids)
            begin = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            _pids(port, {victim})
            seconds.append(time.monotonic() - begin)
    return seconds


def _pids(port: int, gone: set[int]) -> set[int]:
    """Ask until two workers have answered that are not among the gone."""
    pids: set[int] = set()
    while len(pids) < 2:
        answer = _get(port, "/pid")
        if answer is not None and int(answer) not in gone:
            pids.add(int(answer))
    return pids


def _get(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().read().decode()
    connection.close()
    return None


@contextmanager
def _running(name: str, *arguments: str) -> Iterator[tuple[int, Path]]:
    """Run a server on a project of its own, from its first answer to the end of its processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "main.py"
        source.write_text(APP.format("before"))
        command = [sys.executable, "-m", name, "main:app", "--port", str(port), "--log-level", "error", *arguments]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL) as process:
            try:
                while _get(port, "/") is None:
                    time.sleep(0.01)
                yield port, source
            finally:
                process.terminate()


if __name__ == "__main__":
    main()

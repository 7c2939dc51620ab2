"""Serves an application of `world/` in a process of its own, and checks how that process ends.

An application is started as its user would start it: from its own folder, by `bicorn module:app`. It comes from the
environment in which the tests run, `target/venv-world`: `scripts/suites world` makes it and runs them there.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.serving import ServedProcess, serve_process

WORLD = Path(__file__).resolve().parent / "world"
START_SECONDS = 20.0
# For applications that keep nothing in their process.
ONE_OR_TWO_WORKERS = [(), ("--workers", "2")]
# What no application of these writes by itself.
_COMPLAINT = re.compile(r"^.*(?:ERROR|CRITICAL|WARNING|Traceback|never awaited|was destroyed but).*$", re.MULTILINE)


@contextmanager
def serving(
    app: str,
    server_name: str,
    *arguments: str,
    farewell: str | None = None,
    environment: Mapping[str, str] | None = None,
    expected: str | None = None,
    ended_by: signal.Signals | None = None,
) -> Iterator[ServedProcess]:
    """Serve `app`, a module of `world/` and what it holds, from entry to exit; then end it and look at what it logged.

    Args:
        farewell: What the application prints in its shutdown hook; None where it has none.
        expected: A regular expression for lines with a complaint that belong to the test.
        ended_by: The signal with which the test itself ends the process; None where it is not to end before the exit.
    """
    with serve_process(app, *arguments, server_name=server_name, cwd=WORLD, environment=environment) as server:
        if "--workers" in arguments:
            _wait_for_workers(server, int(arguments[arguments.index("--workers") + 1]))
        yield server
        if ended_by is None:
            assert server.process.poll() is None, f"it ended by itself:\n{read_log(server)}"
        code = server.stop()
        log = read_log(server)
        # A supervisor leaves by itself, and so does what Ctrl+C ends; else a server ends by the signal it was sent.
        leaves = "--workers" in arguments or ended_by == signal.SIGINT
        assert code == (0 if leaves else -signal.SIGTERM), f"exit code {code}:\n{log}"
        complaints = [line for line in _COMPLAINT.findall(log) if expected is None or not re.search(expected, line)]
        assert not complaints, f"{complaints} in:\n{log}"
        assert farewell is None or farewell in log, f"no {farewell!r} in:\n{log}"


def read_journal(client: httpx.Client, until: str) -> list[str]:
    """Read what an application has noted at `/journal`, until `until` is there: it is noted behind a response."""
    entries: list[str] = []
    while until not in entries:
        entries += client.get("/journal").raise_for_status().json()
    return entries


def _wait_for_workers(server: ServedProcess, number: int) -> None:
    """Wait until all are ready: the supervisor says where it runs before anybody listens there."""
    assert server.stderr is not None
    server.stderr.wait_for(f"(?s)(?:Application startup complete.*){{{number}}}", START_SECONDS)
    while True:
        with suppress(ConnectionRefusedError), server.connect():
            return


def read_log(server: ServedProcess) -> str:
    """Return what a server and its application have written, to both streams."""
    return "".join(output.text for output in (server.stdout, server.stderr) if output is not None)

"""Starts gunicorn with bicorn's worker, and asks it and its workers for things."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import raw
from tests.serving import REPOSITORY

VERSIONS = ("27", "23")
APP = "tests.suites.gunicorn_app:app"
# Long enough for a loaded machine with two cores.
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.02

LISTENING = re.compile(r"Listening at: (\S+) \(")
READY = re.compile(r"Application startup complete|ASGI 'lifespan' protocol appears unsupported")


class Arbiter:
    """A gunicorn that runs: its process, and what it and its workers have logged."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def log_text(self) -> str:
        """What was written to the error log, stdout and stderr."""
        return self.log.read_text(errors="replace")

    @property
    def port(self) -> int:
        """The port of its first bind."""
        return self.ports[0]

    @functools.cached_property
    def ports(self) -> list[int]:
        """The ports of its TCP binds."""
        self.wait_for(LISTENING)
        found = LISTENING.search(self.log_text)
        assert found is not None
        return [int(port) for port in re.findall(r"https?://[^,]*:(\d+)", found[1])]

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in pids]

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is true."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            # Looked at first: what it has said last counts.
            has_ended = self.process.poll() is not None
            if is_so():
                return
            assert not has_ended, f"ended before: {what}\n{self.log_text}"
            assert time.monotonic() < end, f"not within {WAIT_SECONDS} s: {what}\n{self.log_text}"
            time.sleep(POLL_SECONDS)

    def wait_for(self, pattern: str | re.Pattern[str], times: int = 1) -> None:
        """Wait until the log has so many matches."""
        self.wait_until(lambda: len(re.findall(pattern, self.log_text)) >= times, f"{times} × {pattern!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the arbiter."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.log_text}") from None

    def connect(self, **options: Any) -> raw.Client:
        """Open a connection to its first bind."""
        return raw.Client(port=self.port, **{"timeout": WAIT_SECONDS, **options})

    def ask(self, target: str = "/", headers: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Send a request on a connection of its own and return what the application says."""
        with self.connect() as client:
            return answer(client, target, headers)


def answer(client: raw.Client, target: str = "/", headers: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Send a request and return what the application says."""
    response = client.exchange(raw.request(target=target, headers=headers))
    assert response.status == 200, response
    said: dict[str, Any] = json.loads(response.body)
    return said


@contextmanager
def arbiter(
    version: str,
    folder: Path,
    *options: str,
    app: str = APP,
    workers: int = 1,
    config: str = "",
    environment: dict[str, str] | None = None,
    is_ready: bool = True,
) -> Iterator[Arbiter]:
    """Run gunicorn from entry to exit, on a free port of 127.0.0.1 unless `options` bind something else.

    Args:
        folder: Where its files are: the log `gunicorn.log`, the configuration file.
        config: The text of the configuration file.
        environment: Variables beside those of this process.
        is_ready: Wait until every worker serves.
    """
    program = REPOSITORY / "target" / f"venv-gunicorn-{version}" / "bin" / "python"
    if not program.exists():
        message = f"gunicorn {version} is not installed: scripts/suites installs it"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    configuration = folder / "gunicorn_conf.py"
    configuration.write_text(config)
    bind = () if any(option.startswith("--bind") for option in options) else ("--bind", "127.0.0.1:0")
    kind = () if "-k" in options else ("-k", "bicorn.workers.BicornWorker")
    path = os.pathsep.join([str(REPOSITORY / "python"), str(REPOSITORY), str(folder)])
    log = folder / "gunicorn.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [program, "-m", "gunicorn", *kind, *bind, "-c", configuration, "--workers", str(workers), *options, app],
            cwd=folder,
            # gunicorn 27 has a control socket in the home directory.
            env={**os.environ, "PYTHONPATH": path, "HOME": str(folder), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Arbiter(process, log)
    try:
        if is_ready:
            running.wait_for(READY, workers)
        yield running
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # Workers that outlived it; the group is its own session, so nothing else is in there.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return

"""Starts a server under a suite: bicorn, or another one to check the suite itself (`--suite-server hypercorn`).

A suite asks for what it needs of the server (TLS, HTTP/2) and gets a running one on a free port. Other servers are not
installed by anything here: run pytest from an environment that has them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.serving import REPOSITORY

NAMES = ("bicorn", "hypercorn", "granian", "uvicorn")
START_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for localhost and 127.0.0.1."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Running:
    """A server that accepts connections."""

    name: str
    port: int
    is_tls: bool
    process: subprocess.Popen[bytes]
    log: Path
    """Its stdout and stderr."""

    host = "127.0.0.1"

    @property
    def pid(self) -> int:
        """The process that serves: granian and hypercorn serve in a child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        # hypercorn's first child only tracks resources; the last one serves.
        return pids[-1] if pids else self.process.pid

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"{'https' if self.is_tls else 'http'}://{self.host}:{self.port}"

    @property
    def log_text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate with a key in `folder`, valid for a day."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", names, "-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return made


@contextmanager
def running(
    name: str,
    app: str,
    *,
    certificate: Certificate | None = None,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """Serve `app` (an import string, looked up from the repository) on a free port from entry to exit.

    Args:
        certificate: Speak TLS with it.
        options: More options, in that server's own words.
    """
    port = _free_port()
    command = [sys.executable, "-m", name, *_options(name, port, certificate), *options, app]
    with tempfile.NamedTemporaryFile(prefix=f"{name}-", suffix=".log") as log:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        server = Running(name, port, certificate is not None, process, Path(log.name))
        try:
            _wait_until_it_accepts(server)
            yield server
        finally:
            _stop(process)


def _options(name: str, port: int, certificate: Certificate | None) -> list[str]:
    tls = [] if certificate is None else [str(certificate.certificate), str(certificate.key)]
    if name == "hypercorn":
        return ["--bind", f"127.0.0.1:{port}", *_paired(("--certfile", "--keyfile"), tls)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    if name == "granian":
        words = ["--interface", "asgi", "--no-access-log"]
        return [*address, *words, *_paired(("--ssl-certificate", "--ssl-keyfile"), tls)]
    return [*address, "--no-access-log", *_paired(("--ssl-certfile", "--ssl-keyfile"), tls)]


def _paired(words: tuple[str, str], values: list[str]) -> list[str]:
    return [part for pair in zip(words, values, strict=False) for part in pair]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_accepts(server: Running) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            with socket.create_connection((server.host, server.port), timeout=1):
                return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise AssertionError(f"{server.name} does not accept connections:\n{server.log_text}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The group is its own session: nothing else is in there.
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()

"""A service of several workers in a process of its own, and what a test asks about it."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.serving import ServedProcess

APP = "tests.supervisors.apps:app"
LIFESPAN_APP = "tests.supervisors.apps:lifespan"

needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's pidfd_open")

STARTED = r"Started server process \[(\d+)\]"
READY = r"Application startup complete\."


class Service:
    """A supervisor and its workers."""

    def __init__(self, server: ServedProcess) -> None:
        self.server = server
        assert server.stderr is not None
        self.log = server.stderr

    def wait_for_lines(self, pattern: str, count: int, timeout: float = 10.0) -> list[str]:
        """Wait until the log has so many matches, and return what they have found."""
        self.log.wait_for("(?s)" + ".*".join([pattern] * count), timeout)
        return re.findall(pattern, self.log.text)

    def wait_ready(self, count: int, timeout: float = 10.0) -> list[int]:
        """Wait until so many workers have ever become ready; return the ids of all that were started."""
        self.wait_for_lines(READY, count, timeout)
        return self.started()

    def wait_listening(self, timeout: float = 5.0) -> None:
        """Wait until connections are taken: the log says that the app has started just before."""
        end = time.monotonic() + timeout
        while True:
            try:
                self.server.connect().close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end, "nobody listens"
                # Nothing tells when; a refused connection is the only sign there is.
                time.sleep(0.01)

    def started(self) -> list[int]:
        """Return the process ids of every worker so far."""
        return [int(pid) for pid in re.findall(STARTED, self.log.text)]

    def ask(self, path: str = "/", timeout: float = 5.0) -> int:
        """Send a request on a connection of its own and return which process answered it."""
        with self.server.connect(timeout=timeout) as client:
            return int(client.exchange(raw.request("GET", path, headers=[("Connection", "close")])).body)

    def send(self, client: raw.Client, path: str) -> None:
        """Send a request and wait for nothing."""
        client.send(raw.request("GET", path))


@contextmanager
def serve_workers(
    serve_process: ServeProcess, *arguments: str, app: str = APP, workers: int = 2, **options: Any
) -> Iterator[Service]:
    """Run a service from entry to exit; its first workers are ready."""
    with serve_process(app, "--workers", str(workers), *arguments, **options) as server:
        service = Service(server)
        service.wait_ready(workers)
        service.wait_listening()
        yield service
        # A supervisor that was killed says nothing to workers that were stopped.
        for pid in service.started():
            if server.process.poll() is not None and server.process.returncode == -signal.SIGKILL:
                kill(pid)


def kill(pid: int) -> None:
    """End a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def watched(pids: list[int]) -> Iterator[Watch]:
    """Hold on to processes, so that their end can be waited for although they are not this process's children."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield Watch(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


class Watch:
    """Processes whose end can be waited for."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def wait_gone(self, timeout: float = 10.0) -> None:
        """Wait until every one has ended, or fail."""
        for descriptor in self._descriptors:
            readable, _, _ = select.select([descriptor], [], [], timeout)
            assert readable, "a process is still there"

    @property
    def are_there(self) -> bool:
        """Whether none has ended."""
        return not select.select(self._descriptors, [], [], 0)[0]

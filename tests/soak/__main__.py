"""Run the soak: clients of every kind, a fault every few seconds, and what has become of the server at the end.

Usage: scripts/soak [--seconds N] [--tls] [--calm] [--workers N] [--pause S] [--seed N] [-- BICORN-OPTION...]

Ends with 1, and says why, when a client's trouble is not explained by a fault, the log says what it should not, memory
or descriptors have grown, or the server does not end as it should.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests import processes, raw
from tests.serving import REPOSITORY
from tests.soak import faults
from tests.soak.app import FILE, FILE_CONTENT
from tests.soak.clients import CLEAR_ONLY, KINDS, Kind
from tests.soak.faults import Faults
from tests.soak.talk import Talk, ToldToLeave
from tests.suites.servers import make_certificate

APP = "tests.soak.app:app"
LOG = REPOSITORY / "target" / "soak.log"
START_SECONDS, STOP_SECONDS = 30.0, 30.0
REPORT_SECONDS = 60.0
# What an allocator may keep beyond what it had when everything had been used once.
GROWTH, GROWTH_KIB = 0.05, 2048
WARM_UP = 0.2
# Of the last stage of a run: what a fault has left behind is gone by then.
QUIET_SECONDS = 8.0
SETTLE_SECONDS = 1.0
MOST_FAILURES = 50
# How a client notices that a worker is gone.
LOSSES = (ConnectionError, raw.Closed, ssl.SSLEOFError)
# The application's own exceptions, and what faults are bound to bring about.
EXPECTED_LOG = re.compile(
    r"Exception in ASGI application|tests\.soak\.app\.Expected|Too many open files|was killed by|died|SIGKILL"
    r"|Invalid HTTP request received|was not ready in time"
)
TROUBLE = re.compile(r"^(?:ERROR|CRITICAL|WARNING):|Error\b|panicked", re.MULTILINE)


@dataclass
class Options:
    """What the command line says."""

    seconds: float
    tls: bool
    calm: bool
    workers: int
    pause: float
    seed: int
    more: list[str]


def main() -> int:
    """Run it, and print what happened."""
    options = parse()
    print(f"soak: {options.seconds:g} s, seed {options.seed}, log in {LOG.relative_to(REPOSITORY)}", flush=True)
    with serving(options) as server:
        run = Run(server, options)
        run.go()
        problems = [*run.grown, *end(server), *log_problems()]
    for problem in problems:
        print(f"soak: {problem}")
    print(f"soak: {run.summary()}")
    return 1 if problems or run.failures else 0


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Serve mixed traffic with faults in between.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--tls", action="store_true", help="over HTTPS")
    parser.add_argument("--calm", action="store_true", help="keep the workers, and compare their memory")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=10, help="from one fault to the next, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("more", nargs="*", metavar="BICORN-OPTION", help="options of bicorn, such as -- --loop asyncio")
    options = Options(**vars(parser.parse_args()))
    if options.workers < 2:
        parser.error(f"--workers {options.workers}: the faults need a supervisor with 2 workers or more")
    return options


@dataclass
class Server:
    """The server, and where it listens."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def serving(options: Options) -> Iterator[Server]:
    """Run the server from entry to exit, with its log in a file."""
    LOG.parent.mkdir(exist_ok=True)
    FILE.write_bytes(FILE_CONTENT)
    arguments = ["--port", "0", "--workers", str(options.workers), "--no-access-log", "--timeout-keep-alive", "30"]
    arguments += options.more
    if options.tls:
        certificate = make_certificate(LOG.parent)
        arguments += ["--ssl-certfile", str(certificate.certificate), "--ssl-keyfile", str(certificate.key)]
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bicorn", APP, *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Server(process, wait_started(process, options.workers))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_started(process: subprocess.Popen[bytes], workers: int) -> int:
    """Wait until all workers serve, and return the port."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        log = LOG.read_text()
        port = re.search(r"running on https?://127\.0\.0\.1:(\d+)", log)
        if port is not None and log.count("Application startup complete.") >= workers:
            return int(port[1])
        time.sleep(0.1)
    raise SystemExit(f"soak: the server did not start:\n{LOG.read_text()}")


class Run:
    """Clients, faults, and what the clients have met."""

    def __init__(self, server: Server, options: Options) -> None:
        self.server = server
        self.options = options
        talk = Talk(server.port, random.Random(options.seed), is_tls=options.tls)
        self.faults = Faults(server.process.pid, talk)
        self.answered: Counter[str] = Counter()
        self.explained: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stop = threading.Event()
        self._lock = threading.Lock()
        # By process, in KiB: when all had been used once, and when it was looked at last.
        self._memory: dict[int, int] = {}
        self._latest: dict[int, int] = {}
        self.grown: list[str] = []

    def go(self) -> None:
        """Talk, with faults, for as long as asked; then be quiet."""
        # Until everything is open that a worker has open for itself.
        time.sleep(SETTLE_SECONDS)
        descriptors = max(map(len, self._descriptors()))
        threads = [
            threading.Thread(
                target=self._talk, args=(kind, random.Random(f"{self.options.seed} {kind.__name__} {number}"))
            )
            for kind, count in KINDS.items()
            if not (self.options.tls and kind in CLEAR_ONLY)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            self._cause_faults()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        time.sleep(QUIET_SECONDS)
        self._compare(descriptors)

    def _cause_faults(self) -> None:
        begun = reported = time.monotonic()
        warm = begun + WARM_UP * self.options.seconds
        while (now := time.monotonic()) < begun + self.options.seconds and len(self.failures) < MOST_FAILURES:
            if self.server.process.poll() is not None:
                self._fail("the server has ended")
                return
            if now > warm and not self._memory:
                self._memory = self._resident()
            if now > reported + REPORT_SECONDS:
                reported = now
                print(f"soak: {now - begun:.0f} s, {self.summary()}", flush=True)
            self.stop.wait(min(self.options.pause, max(0.0, begun + self.options.seconds - now)))
            if time.monotonic() < begun + self.options.seconds:
                self.faults.cause(faults.CALM if self.options.calm else faults.ALL)

    def _talk(self, kind: Kind, draw: random.Random) -> None:
        talk = Talk(self.server.port, draw, is_tls=self.options.tls)
        while not self.stop.is_set() and len(self.failures) < MOST_FAILURES:
            begun, before = time.monotonic(), talk.answered
            try:
                kind(talk)
            except ToldToLeave:
                self._explain(kind, "told to leave", self.faults.explain_leave())
            except (OSError, AssertionError) as error:
                self._meet(kind, talk, error, begun)
            with self._lock:
                self.answered[kind.__name__] += talk.answered - before

    def _meet(self, kind: Kind, talk: Talk, error: Exception, begun: float) -> None:
        """Look for the fault behind what a client has met."""
        trouble = f"{talk.asked}: {type(error).__name__}: {error!s:.300}"
        is_loss = isinstance(error, LOSSES) or (isinstance(error, OSError) and error.errno == errno.ENOTCONN)
        is_lost = is_loss and self.faults.explain_loss(begun)
        self._explain(kind, trouble, is_lost or ("/file/" in trouble and self.faults.explain_file()))

    def _explain(self, kind: Kind, trouble: str, is_explained: bool) -> None:
        if is_explained:
            with self._lock:
                self.explained[kind.__name__] += 1
        else:
            self._fail(f"{kind.__name__}: {trouble}")

    def _fail(self, failure: str) -> None:
        with self._lock:
            self.failures.append(f"{failure} [{self.faults.last()}]")
            print(f"soak: {self.failures[-1]}", flush=True)

    def _resident(self) -> dict[int, int]:
        if self.server.process.poll() is not None:
            return self._latest
        memory = {}
        for pid in [self.server.process.pid, *self.faults.workers()]:
            # A fault may have ended it in between.
            with suppress(ProcessLookupError, FileNotFoundError):
                memory[pid] = processes.memory_kib(pid)
        self._latest = memory
        return memory

    def _descriptors(self) -> list[list[str]]:
        """List what each worker has open."""
        folders = [Path(f"/proc/{pid}/fd") for pid in self.faults.workers()]
        return [[os.readlink(one) for one in folder.iterdir()] for folder in folders]

    def _compare(self, descriptors: int) -> None:
        """Look for what has grown."""
        if self.server.process.poll() is not None:
            return
        for pid, now in self._resident().items():
            before = self._memory.get(pid)
            if self.options.calm and before is not None and now > before * (1 + GROWTH) + GROWTH_KIB:
                self.grown.append(f"process {pid} has grown from {before} to {now} KiB")
        most = max(self._descriptors(), key=len)
        if len(most) > descriptors:
            self.grown.append(
                f"a worker that nobody talks to has {len(most)} descriptors, {descriptors} at first: {most}"
            )

    def summary(self) -> str:
        """Say what has happened so far."""
        memory = ", ".join(f"{kib // 1024}" for kib in self._resident().values())
        return (
            f"{sum(self.answered.values())} answers {dict(self.answered)}; faults {self.faults.counts};"
            f" explained by one {dict(self.explained)}; memory {memory} MiB; {len(self.failures)} failures"
        )


def end(server: Server) -> list[str]:
    """End the server as a process manager does."""
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return [f"SIGTERM has not ended it within {STOP_SECONDS:g} s"]
    return [] if code in (0, -signal.SIGTERM) else [f"SIGTERM has ended it with {code}"]


def log_problems() -> list[str]:
    """Find lines of the log that no fault and no request accounts for."""
    lines = LOG.read_text(errors="replace").splitlines()
    strange = [line for line in lines if TROUBLE.search(line) and not EXPECTED_LOG.search(line)]
    return [f"in the log {count} times: {line}" for line, count in Counter(strange).most_common(20)]


if __name__ == "__main__":
    sys.exit(main())

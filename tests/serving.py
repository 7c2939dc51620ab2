"""Run bicorn or uvicorn for a test: in a thread (`serve`) or in a process of its own (`serve_process`)."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from tests import raw

REPOSITORY = Path(__file__).resolve().parent.parent
SERVER_NAMES = ("bicorn", "uvicorn")
# A start or stop that takes longer is a hang: both servers need about 0.3 s.
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class LogRecords(logging.Handler):
    """Keeps the records of uvicorn.error and uvicorn.access and lets a test wait for one."""

    def __init__(self) -> None:
        super().__init__(level=1)
        self.records: list[logging.LogRecord] = []
        self._arrived = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._arrived:
            self.records.append(record)
            self._arrived.notify_all()

    def attach(self, *, error: bool = True, access: bool = True) -> None:
        """Record what the two loggers let through; `logging_restored` takes it back."""
        for name, is_wanted in (("uvicorn.error", error), ("uvicorn.access", access)):
            if is_wanted:
                logging.getLogger(name).addHandler(self)

    def clear(self) -> None:
        """Forget everything so far."""
        with self._arrived:
            self.records.clear()

    def of(self, logger_name: str) -> list[logging.LogRecord]:
        """Return the records of one logger, such as "uvicorn.access"."""
        return [record for record in self.records if record.name == logger_name]

    @property
    def messages(self) -> list[str]:
        """The formatted messages of uvicorn.error."""
        return [record.getMessage() for record in self.of("uvicorn.error")]

    def wait_for(self, text: str, *, logger_name: str = "uvicorn.error", timeout: float = 5.0) -> logging.LogRecord:
        """Wait until a record whose message contains `text` has arrived, and return it."""

        def find() -> logging.LogRecord | None:
            return next((r for r in self.of(logger_name) if text in r.getMessage()), None)

        with self._arrived:
            record = self._arrived.wait_for(find, timeout)
        if record is None:
            raise AssertionError(f"no record with {text!r} in {timeout} s; there are {self.messages}")
        return record


class Served:
    """A server that runs in a thread of this process."""

    def __init__(self, server: Any, config: Any, logs: LogRecords) -> None:
        self.server = server
        self.config = config
        self.logs = logs
        self.host = "127.0.0.1"
        self.port = 0
        # What ended `Server.run`, if anything did (SystemExit when the start failed).
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="server under test", daemon=True)

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:
            self.error = error
        finally:
            self.ready.set()

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def connect(self, **options: Any) -> raw.Client:
        """Open a raw connection."""
        return raw.Client(self.host, self.port, **options)

    def stop(self) -> None:
        """Ask for a graceful end; returns at once."""
        self.server.should_exit = True

    def join(self, timeout: float = STOP_SECONDS) -> None:
        """Wait for the server's thread to end, or fail."""
        self.thread.join(timeout)
        if self.thread.is_alive():
            self.server.force_exit = True
            self.thread.join(STOP_SECONDS)
            raise AssertionError(f"the server's thread did not end within {timeout} s")


@contextmanager
def serve(
    app: Any,
    *,
    server_name: str = "bicorn",
    attach_error: bool = True,
    attach_access: bool = True,
    **options: Any,
) -> Iterator[Served]:
    """Serve `app` on a free port from entry to exit.

    Args:
        attach_error: Put a recording handler on the logger uvicorn.error.
        attach_access: The same for uvicorn.access. A handler there makes bicorn send each access record through
            Python's logging; leave it out to test the other road.
        options: Keyword arguments of `Config`. Unless given: port=0, lifespan="off", log_config=None, log_level="info",
            loop="asyncio".
    """
    module = import_server(server_name)
    defaults = {"port": 0, "lifespan": "off", "log_config": None, "log_level": "info", "loop": "asyncio"}
    with logging_restored():
        config = module.Config(app, **{**defaults, **options})
        logs = LogRecords()
        # With access_log=False the logger has no handler, and a new one would turn it on again.
        logs.attach(error=attach_error, access=attach_access and options.get("access_log", True))
        served = Served(_watched_server(module, config, lambda: served.ready.set()), config, logs)
        served.thread.start()
        try:
            if not served.ready.wait(START_SECONDS):
                raise AssertionError(f"{server_name} did not start within {START_SECONDS} s")
            if served.error is not None:
                raise served.error
            if config.uds is None and served.server.started:
                served.host, served.port = served.server.servers[0].sockets[0].getsockname()[:2]
            yield served
        finally:
            served.stop()
            served.join()


def import_server(server_name: str) -> ModuleType:
    """Import "bicorn" or "uvicorn"."""
    if server_name not in SERVER_NAMES:
        raise ValueError(f"unknown server {server_name!r}")
    return importlib.import_module(server_name)


def _watched_server(module: ModuleType, config: Any, on_started: Callable[[], None]) -> Any:
    """Make a `Server` that tells when its startup is done, so that no test polls `started`."""

    class WatchedServer(module.Server):  # type: ignore[name-defined, misc]  # the module is chosen at run time
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            on_started()

    return WatchedServer(config)


@contextmanager
def logging_restored() -> Iterator[None]:
    """Put the four loggers back as they were: `Config` sets levels, handlers and propagation for the whole process."""
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")]
    before = [(one.level, list(one.handlers), one.propagate, list(one.filters), one.disabled) for one in loggers]
    try:
        yield
    finally:
        for logger, (level, handlers, propagate, filters, disabled) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate = propagate
            logger.filters[:] = filters
            logger.disabled = disabled


class Output:
    """One stream of a child, read to its end by a thread so that the child never blocks on it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while data := os.read(self._stream.fileno(), 64 * 1024):
            with self._changed:
                self._data += data
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """Everything so far."""
        with self._changed:
            return self._data.decode(errors="replace")

    def wait_for(self, pattern: str, timeout: float = START_SECONDS) -> re.Match[str]:
        """Wait until the regular expression `pattern` is found, and return the match."""

        def find() -> re.Match[str] | None:
            return re.search(pattern, self._data.decode(errors="replace"))

        with self._changed:
            self._changed.wait_for(lambda: self._ended or find(), timeout)
            match = find()
        if match is None:
            raise AssertionError(f"{pattern!r} not found in {timeout} s in:\n{self.text}")
        return match

    def wait_for_count(self, pattern: str, count: int, timeout: float = START_SECONDS) -> list[str]:
        """Wait until the pattern is found so many times, and return what it has found."""

        def find() -> list[str]:
            return re.findall(pattern, self._data.decode(errors="replace"))

        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(find()) >= count, timeout)
            found = find()
        assert len(found) >= count, (
            f"{pattern!r} found {len(found)} times, not {count}, in {timeout} s in:\n{self.text}"
        )
        return found

    def finish(self) -> str:
        """Wait for the end of the stream and return all of it."""
        self._thread.join(STOP_SECONDS)
        self._stream.close()
        return self.text


class ServedProcess:
    """`python -m bicorn …` as a child of this process. `stdout` is None when the test gave it a file of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.stdout = None if process.stdout is None else Output(process.stdout)
        self.stderr = Output(process.stderr) if process.stderr is not None else None
        self.host = "127.0.0.1"
        self.port = 0

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def connect(self, **options: Any) -> raw.Client:
        """Open a raw connection."""
        return raw.Client(self.host, self.port, **options)

    def signal(self, number: int) -> None:
        """Send the child a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait for the end and return the exit code, negative for a signal."""
        return self.process.wait(timeout)

    def stop(self) -> int:
        """End the child: SIGTERM, then SIGKILL if it does not leave in time; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)
        for output in (self.stdout, self.stderr):
            if output is not None:
                output.finish()
        return self.process.returncode


@contextmanager
def serve_process(
    app: str,
    *arguments: str,
    server_name: str = "bicorn",
    wait: bool = True,
    port: int | None = 0,
    environment: Mapping[str, str] | None = None,
    cwd: Path | str = REPOSITORY,
    stdout: int | IO[Any] = subprocess.PIPE,
    preexec: Callable[[], None] | None = None,
) -> Iterator[ServedProcess]:
    """Run `python -m <server> <app> --port 0 <arguments>` from entry to exit.

    Args:
        app: Import string, looked up from `cwd` (the repository, so "tests.apps:hello" works).
        wait: Wait for the "running on" line and read the port from it.
        port: None leaves `--port` out.
        environment: Added to this process's environment.
        preexec: Runs in the child before the program, such as to set a resource limit.
    """

    def prepare() -> None:
        # Ignored by whoever is started in the background of a script, or by nohup.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if preexec is not None:
            preexec()

    command = [sys.executable, "-m", server_name, app]
    if port is not None:
        command += ["--port", str(port)]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
    )
    served = ServedProcess(process)
    try:
        if wait:
            assert served.stderr is not None
            match = served.stderr.wait_for(r"running on (?:\x1b\[1m)?https?://(\[?[^\s\]]+\]?):(\d+)")
            served.host, served.port = match[1].strip("[]"), int(match[2])
        yield served
    finally:
        served.stop()

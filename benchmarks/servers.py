"""The servers that are compared, and how one is started, watched and ended.

Each runs one worker process on a free port of 127.0.0.1, with uvloop where it has it. A row of `SERVERS` says the rest.
Only processes that this module started are ever ended.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from scenarios import Protocol

APPS = Path(__file__).resolve().parent
# Seconds until the first answer; the slowest import here takes under two.
START_DEADLINE = 20.0
STOP_DEADLINE = 10.0


@dataclass(frozen=True)
class Server:
    """How one server is run."""

    name: str
    command: tuple[str, ...]
    """What follows the interpreter; `{port}` is filled in, the import string of the app is added."""
    access_log: tuple[str, ...]
    no_access_log: tuple[str, ...]
    keep_idle: tuple[str, ...]
    """Options under which 5,000 connections may be open and idle for two minutes."""
    protocols: Mapping[Protocol, tuple[str, ...]] = field(hash=False)
    """What it can speak here, each with the options for it."""
    tls: tuple[str, str]
    """Its options for the certificate and the key."""
    family: str = ""
    """What the ratios call it: the better of a family's servers counts. Empty: its own name."""
    python: str = sys.executable
    is_variant: bool = False
    """Takes part only in the scenarios that name it."""

    @property
    def label(self) -> str:
        """The family, or the name where there is none."""
        return self.family or self.name


_PORT = "{port}"
_UVICORN_OPTIONS = ("--host", "127.0.0.1", "--port", _PORT, "--loop", "uvloop")
_GRANIAN_OPTIONS = ("--host", "127.0.0.1", "--port", _PORT, "--interface", "asgi", "--workers", "1")
_UVICORN_TLS = ("--ssl-certfile", "--ssl-keyfile")


def bicorn(name: str = "bicorn", python: str = sys.executable) -> Server:
    """Describe the bicorn that an interpreter has installed."""
    return Server(
        name,
        ("-m", "bicorn", *_UVICORN_OPTIONS),
        access_log=(),
        no_access_log=("--no-access-log",),
        keep_idle=("--timeout-keep-alive", "120"),
        protocols={"http1": (), "http2": (), "websocket": (), "deflate": ()},
        tls=_UVICORN_TLS,
        python=python,
    )


def _bicorn_with(sync_endpoints: str) -> Server:
    server = bicorn(f"bicorn-{sync_endpoints}")
    return replace(server, command=(*server.command, "--sync-endpoints", sync_endpoints), is_variant=True)


def _granian(loop: str) -> Server:
    return Server(
        f"granian-{loop}",
        ("-m", "granian", *_GRANIAN_OPTIONS, "--loop", loop),
        access_log=("--access-log",),
        no_access_log=("--no-access-log",),
        # Its default lets 1,024 connections in (backlog / workers).
        keep_idle=("--backlog", "8192", "--backpressure", "8192"),
        protocols={
            "http1": ("--http", "1", "--no-ws"),
            "http2": ("--http", "auto", "--no-ws"),
            "websocket": ("--http", "1", "--ws"),
        },
        tls=("--ssl-certificate", "--ssl-keyfile"),
        family="granian",
    )


SERVERS = (
    bicorn(),
    _bicorn_with("pool"),
    _bicorn_with("off"),
    Server(
        "uvicorn",
        ("-m", "uvicorn", *_UVICORN_OPTIONS, "--http", "httptools"),
        access_log=(),
        no_access_log=("--no-access-log",),
        keep_idle=("--timeout-keep-alive", "120"),
        protocols={"http1": (), "websocket": (), "deflate": ()},
        tls=_UVICORN_TLS,
    ),
    _granian("asyncio"),
    _granian("uvloop"),
    Server(
        "hypercorn",
        ("-m", "hypercorn", "--bind", f"127.0.0.1:{_PORT}", "--worker-class", "uvloop", "--workers", "1"),
        access_log=("--access-logfile", "-"),
        no_access_log=(),
        keep_idle=("--keep-alive", "120"),
        # Its HTTP/1.1 is six times slower than uvicorn's and would make every run longer.
        protocols={"http2": (), "websocket": (), "deflate": ()},
        tls=("--certfile", "--keyfile"),
    ),
)


class StartError(Exception):
    """A server did not answer in time, or left."""


@dataclass
class RunningServer:
    """A started server: a context manager that ends it."""

    server: Server
    app: str
    log: Path
    """Where stdout and stderr go; the access log too, if it is on."""
    access_log: bool = False
    extra: tuple[str, ...] = ()
    protocol: Protocol = "http1"
    certificate: tuple[Path, Path] | None = None
    """Certificate and key to speak TLS with."""
    port: int = field(default=0, init=False)
    start_seconds: float = field(default=0.0, init=False)
    """From the start of the process to the first answered request."""

    def __enter__(self) -> RunningServer:
        """Start the server and wait for its first answer."""
        self.port = _free_port()
        server = self.server
        log_options = server.access_log if self.access_log else server.no_access_log
        command = [server.python, *(part.format(port=self.port) for part in server.command), *log_options]
        command += [*server.protocols[self.protocol], *self.extra]
        if self.certificate is not None:
            command += [word for pair in zip(server.tls, map(str, self.certificate), strict=True) for word in pair]
        with self.log.open("wb") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                [*command, self.app],
                cwd=APPS,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl+C in the terminal is for the benchmark, which then ends its servers.
                start_new_session=True,
            )
        try:
            self._wait_for_answer(started + START_DEADLINE)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server."""
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The process and all its descendants."""
        return processes.tree(self._process.pid)

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> tuple[int, bytes]:
        """Send one HTTP/1.1 request on a connection of its own."""
        if self.certificate is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        else:
            context = ssl.create_default_context(cafile=str(self.certificate[0]))
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"content-type": content_type} if body is not None else {})
            response = connection.getresponse()
            return response.status, response.read()

    def stop(self) -> None:
        """Ask with SIGTERM, then end what is left of its processes."""
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_DEADLINE)
        # The session that was made for it is also its process group: nothing else is in there.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait_for_answer(self, deadline: float) -> None:
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise StartError(f"{self.server.name} left with {self._process.returncode}: {self._tail()}")
            # Any answer will do: a framework app answers "/" with 404.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask("GET", "/")
                return
            time.sleep(0.001)
        raise StartError(f"{self.server.name} did not answer within {START_DEADLINE} s: {self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def open_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open keep-alive connections that have each had one answered request."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            sockets.append(connection)
            request_hello(connection)
        yield sockets
    finally:
        for connection in sockets:
            connection.close()


def request_hello(connection: socket.socket) -> None:
    """Ask for the raw hello on a connection that stays open, and read the whole answer."""
    connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    received = b""
    while not received.endswith(b"Hello, world!"):
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionError(f"closed after {received!r}")
        received += chunk


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1 and its key; ECDSA, whose handshakes are cheap for all."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", "req", "-x509", *options, *names, *files], check=True, capture_output=True)
    return certificate, key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

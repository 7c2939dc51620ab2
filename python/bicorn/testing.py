"""Serve an app in a test: on a free port, in a thread of this process or in the running event loop.

    with serve(app) as server:
        httpx.get(f"{server.url}/items")

The app is imported in the caller's thread, where its errors are raised. A start that fails raises what the app
raised, or `ServerFailed` with the reason; one that takes too long raises `TimeoutError`. Nothing here touches
signals, and the caller's logging stays as it is. The pytest fixture is in `pytest_plugin.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

from bicorn.config import Config
from bicorn.loops import run_in_new_loop
from bicorn.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from bicorn._types import ASGIApplication

__all__ = ["RunningServer", "ServerFailed", "serve", "serve_async"]

# What a start takes at most on a loaded machine, many times over.
DEFAULT_TIMEOUT_SECONDS = 10.0

# How long a cancelled server may take to close. Arbitrary; what takes longer is left to end by itself.
CANCELLED_GRACE_SECONDS = 1.0

# Where a listener on every address of a family is reached.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ServerFailed(RuntimeError):
    """The server did not start, or did not end well; the text says why."""


class RunningServer:
    """A server that serves, and where it is reached."""

    def __init__(self, server: Server) -> None:
        """Take a server that has started."""
        self.server = server
        address = server.servers[0].sockets[0].getsockname()
        on_network = isinstance(address, tuple)
        # A Unix socket has no host and no port, and only it has a path.
        self.host: str = LOOPBACK.get(address[0], address[0]) if on_network else "localhost"
        self.port: int | None = address[1] if on_network else None
        self.uds: str | None = None if on_network else address

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end; for a Unix socket a name that clients accept."""
        return f"{'https' if self.server.config.is_ssl else 'http'}://{self._authority}"

    @property
    def websocket_url(self) -> str:
        """The same for WebSocket clients."""
        return f"{'wss' if self.server.config.is_ssl else 'ws'}://{self._authority}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"<RunningServer {self.uds or self.url}>"


@contextlib.contextmanager
def serve(
    app: ASGIApplication | Callable[..., Any] | str, *, timeout: float = DEFAULT_TIMEOUT_SECONDS, **options: Any
) -> Iterator[RunningServer]:
    """Serve an app, or what its import string names, in a thread and an event loop of their own.

    Args:
        timeout: Seconds that the start may take. At the end requests get as long to finish, before they are
            cancelled, unless `timeout_graceful_shutdown` is given.
        options: Those of `Config`. Unless given, `port` is 0 (a free one) and `log_config` is None.

    Raises:
        ServerFailed: It did not start, or failed while it served or ended; not raised over an error of the body.
        TimeoutError: The start, or the end, takes too long.
    """
    thread = _ServerThread(_make_config(app, timeout, options))
    thread.start(timeout)
    try:
        yield RunningServer(thread.server)
    except BaseException:
        # What went wrong in the body is what the caller wants to hear of.
        with contextlib.suppress(Exception):
            thread.stop(timeout)
        raise
    thread.stop(timeout)


@contextlib.asynccontextmanager
async def serve_async(
    app: ASGIApplication | Callable[..., Any] | str, *, timeout: float = DEFAULT_TIMEOUT_SECONDS, **options: Any
) -> AsyncIterator[RunningServer]:
    """Serve an app in the running event loop, as a task of it; otherwise like `serve`.

    Raises:
        RuntimeError: The running event loop is not asyncio's.
    """
    _check_loop()
    task = _ServerTask(_make_config(app, timeout, options))
    await task.start(timeout)
    try:
        yield RunningServer(task.server)
    except BaseException:
        with contextlib.suppress(Exception):
            await task.stop(timeout)
        raise
    await task.stop(timeout)


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("serve_async() needs a running asyncio event loop; with trio or none use serve()") from None


def _make_config(app: Any, timeout: float, options: dict[str, Any]) -> Config:
    config = Config(app, **{"port": 0, "log_config": None, "timeout_graceful_shutdown": timeout, **options})
    try:
        config.load()
    except SystemExit as exit_:
        raise _failure("cannot load the application", exit_) from exit_.__context__
    return config


def _failure(what: str, exit_: SystemExit) -> ServerFailed:
    # The server logs an error and exits where it catches the error: so the reason is the exit's context.
    return ServerFailed(f"{what}: {exit_.__context__ or f'exit code {exit_.code}'}")


class _Server(Server):
    """Leaves signals alone, and tells when it has started."""

    def __init__(self, config: Config, on_started: Callable[[], object]) -> None:
        super().__init__(config)
        self.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # as embedders do
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    async def serve_and_explain(self) -> None:
        """Serve until asked to end; raise what the app raised in its start-up or shutdown, not its exit code."""
        try:
            await self.serve()
        except SystemExit as exit_:
            self._raise_lifespan_failure("start-up")
            raise _failure("the server did not start", exit_) from exit_.__context__
        self._raise_lifespan_failure("shutdown")

    def _raise_lifespan_failure(self, phase: str) -> None:
        if not self.lifespan.should_exit:
            return
        if self.lifespan.error is not None:
            raise self.lifespan.error
        raise ServerFailed(f"the application's {phase} failed: {self.lifespan.failure_message or 'no reason given'}")

    def raise_slow_start(self, timeout: float) -> None:
        raise TimeoutError(f"the server did not start within {timeout:g} s: the application's start-up still runs")

    def raise_slow_end(self, seconds: float) -> None:
        state = self.server_state
        open_ = f"{len(state.connections)} connections and {len(state.tasks)} requests are open"
        raise TimeoutError(f"the server did not end within {seconds:g} s: {open_}")

    def seconds_to_end(self, timeout: float) -> float:
        """Return how long the end may take: what requests get, and then the app's shutdown."""
        return timeout + (self.config.timeout_graceful_shutdown or 0)


class _ServerThread:
    """A server in a thread."""

    def __init__(self, config: Config) -> None:
        # Set when the server has started, or never will.
        self._decided = threading.Event()
        self._error: BaseException | None = None
        self._cancel: Callable[[], object] | None = None
        self.server = _Server(config, self._decided.set)
        self._thread = threading.Thread(target=self._run, name="bicorn-testing", daemon=True)

    def _run(self) -> None:
        try:
            run_in_new_loop(self._main, self.server.config.get_loop_factory())
        except BaseException as error:
            self._error = error
        finally:
            self._decided.set()

    async def _main(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        await self.server.serve_and_explain()

    def start(self, timeout: float) -> None:
        self._thread.start()
        try:
            decided = self._decided.wait(timeout)
        except BaseException:
            self._abandon()
            raise
        if not decided:
            self._abandon()
            self.server.raise_slow_start(timeout)
        self._raise_error()

    def stop(self, timeout: float) -> None:
        self.server.should_exit = True
        seconds = self.server.seconds_to_end(timeout)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._abandon()
            self.server.raise_slow_end(seconds)
        self._raise_error()

    def _abandon(self) -> None:
        """Have the server close at once, and leave the thread if it does not come back."""
        if self._cancel is not None:
            # RuntimeError: the loop is closed.
            with contextlib.suppress(RuntimeError):
                self._cancel()
        self._thread.join(CANCELLED_GRACE_SECONDS)

    def _raise_error(self) -> None:
        if isinstance(self._error, SystemExit):
            # Not of the start: that is explained. The app, or something else in its loop, exits.
            raise ServerFailed(f"the server was ended by an exit: {self._error.code}") from self._error
        if self._error is not None:
            raise self._error


class _ServerTask:
    """A server in a task of the running loop."""

    def __init__(self, config: Config) -> None:
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.server = _Server(config, functools.partial(self._started.set_result, None))

    async def start(self, timeout: float) -> None:
        self._task = asyncio.create_task(self.server.serve_and_explain(), name="bicorn.testing")
        either: set[asyncio.Future[None]] = {self._task, self._started}
        try:
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._task.cancel()
            raise
        if self._started.done():
            return
        if not self._task.done():
            await self._abandon()
            self.server.raise_slow_start(timeout)
        self._task.result()

    async def stop(self, timeout: float) -> None:
        self.server.should_exit = True
        seconds = self.server.seconds_to_end(timeout)
        try:
            await asyncio.wait({self._task}, timeout=seconds)
        except BaseException:
            self._task.cancel()
            raise
        if not self._task.done():
            await self._abandon()
            self.server.raise_slow_end(seconds)
        self._task.result()

    async def _abandon(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CANCELLED_GRACE_SECONDS)

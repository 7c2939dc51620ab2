"""`Server`: one server from start to end, in whatever event loop and thread calls it.

    serve ─▶ lifespan start-up ─▶ listeners ─▶ HttpServer.start ─▶ main_loop ─▶ shutdown ─▶ HttpServer.close
             fails: exit 3        fails: lifespan shutdown, exit 3

Everything between a socket and the app is Rust's (`HttpServer`). This file decides when that starts and ends, and it
never polls: `_wait_until` sleeps until Rust, a signal or another thread says that something has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import math
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

from bicorn._bicorn import HttpServer
from bicorn.access_log import access_log_target
from bicorn.asgi import resume, run_asgi
from bicorn.constants import STARTUP_FAILURE
from bicorn.listeners import ListenerGroup, log_running, open_listeners, start_listening
from bicorn.logging import style
from bicorn.loops import run_in_new_loop, running_loop
from bicorn.management import Management
from bicorn.server_state import ServerState
from bicorn.signals import HANDLED_SIGNALS, answered_by, signals_blocked
from bicorn.threads import SyncEndpoints

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Sequence
    from types import FrameType

    from bicorn.config import Config
    from bicorn.lifespan import LifespanOff, LifespanOn
    from bicorn.supervised import Supervised

__all__ = ["HANDLED_SIGNALS", "Server", "ServerState"]

# How long a cancelled task may take to answer 500, before its connection is closed. Arbitrary; not measured.
CANCELLED_TASKS_GRACE_SECONDS = 1.0
# How long idle connections may take to close, before a line says that connections are waited for (uvicorn's).
IDLE_CONNECTIONS_GRACE_SECONDS = 0.1
# How long connections of a replaced server are kept for their next request: longer than the usual deadlines for one.
REPLACED_GRACE_SECONDS = 15.0
# The same for a server that SIGTERM ends: under load each has its next request by then. Arbitrary; not measured.
TERMINATED_GRACE_SECONDS = 0.5
# How often to look whether the file of a Unix socket is still there. Arbitrary; not measured.
UDS_CHECK_SECONDS = 5.0
# uvicorn's rhythm; only a subclass that overrides `on_tick` sees it.
TICK_SECONDS = 0.1
TICKS_A_DAY = 864_000

LIMIT_LINE = "Maximum request limit of %d exceeded. Terminating process."

logger = logging.getLogger("uvicorn.error")


class Server:
    """Serves one `Config`, once."""

    lifespan: LifespanOn | LifespanOff

    def __init__(self, config: Config) -> None:
        """Touch nothing yet: no socket, no loop, no signal."""
        self.config = config
        self.server_state = ServerState()
        self.servers: list[ListenerGroup] = []
        self.started = False
        # When `callback_notify` was last awaited, in seconds since the epoch; and since the machine's start.
        self.last_notified = 0.0
        self._last_notified = -math.inf
        # Set by a supervisor, before `serve`.
        self.supervised: Supervised | None = None
        self._should_exit = False
        self._force_exit = False
        self._captured_signals: list[int] = []
        self._retire_seconds: float | None = None
        self._has_told_limit = False
        # Where `startup` ran, and what wakes `_wait_until` there.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._management = Management()
        self._sync_endpoints: SyncEndpoints | None = None
        self._changed: asyncio.Event

    @property
    def should_exit(self) -> bool:
        """Whether the server is to end gracefully; set it at any time, in any thread or signal handler."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._wake()

    @property
    def force_exit(self) -> bool:
        """Whether an ending server is to wait for nothing; set it like `should_exit`."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        self._force_exit = value
        self._wake()

    @functools.cached_property
    def limit_max_requests(self) -> int | None:
        """After how many responses the server ends; the jitter keeps workers from ending together."""
        limit = self.config.limit_max_requests
        return None if limit is None else limit + random.randint(0, self.config.limit_max_requests_jitter)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in a new event loop, in this thread."""
        loop_factory = self.config.get_loop_factory()
        run_in_new_loop(functools.partial(self.serve, sockets=sockets), loop_factory)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running event loop until `should_exit`, or until cancelled.

        Bound `sockets` are served instead of those that the config describes, and closed at the end.

        Raises:
            SystemExit: The start failed; the log says why.
        """
        with self.capture_signals():
            await self._serve(sockets)

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        if not self.config.loaded:
            self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self._log_process("Started")
        try:
            await self.startup(sockets=sockets)
            if not self.should_exit:
                await self.main_loop()
            if self.started:
                await self._delay_drain()
                await self.shutdown(sockets=sockets)
                self._log_process("Finished")
        finally:
            # After a shutdown nothing is left to close; if cancelled, there is no time to wait for anything.
            self._close()

    def _log_process(self, what: str) -> None:
        color_message = f"{what} server process [{style('%d', fg='cyan')}]"
        logger.info(f"{what} server process [%d]", os.getpid(), extra={"color_message": color_message})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then open the listeners: no request comes before the app is ready.

        Raises:
            SystemExit: The app or a listener failed; the log says why.
        """
        self._changed = asyncio.Event()
        self._loop = running_loop()
        try:
            self._management.start(self.config, self.supervised)
        except OSError as error:
            logger.error(error)
            sys.exit(STARTUP_FAILURE)
        sync_endpoints = self._sync_endpoints = SyncEndpoints(self.config)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        with signals_blocked():
            http_server = self.server_state.http_server = self._create_http_server(sync_endpoints)
        self.server_state.default_headers = tuple(self.config.encoded_headers)
        try:
            groups = await self._open_listeners(sockets)
        except OSError as error:
            logger.error(error)
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        uds = self.config.uds if sockets is None and self.config.fd is None else None
        self.servers = [ListenerGroup(group, http_server, self._wait_until, uds) for group in groups]
        context = contextvars.Context() if self.config.reset_contextvars else contextvars.copy_context()
        sync_endpoints.start(http_server, context)
        with signals_blocked():
            http_server.start(self._loop, context, [listener.fileno() for group in groups for listener in group])
        if sockets is None:
            # Given sockets have been announced by whoever bound them.
            self._log_started_message(groups[0])
        self.started = True
        self._management.set_state("ready")
        if self.supervised is not None:
            self.supervised.on_ready()

    def _create_http_server(self, sync_endpoints: SyncEndpoints) -> HttpServer:
        config = self.config
        return HttpServer(
            config.settings,
            config.loaded_app,
            asgi_version=config.asgi_version,
            state=self.lifespan.state,
            default_headers=config.encoded_headers,
            run_asgi=run_asgi,
            error_logger=logger,
            access_logger=logging.getLogger("uvicorn.access"),
            access_log_target=access_log_target(config),
            request_limit=self.limit_max_requests,
            on_change=self._changed.set,
            resume=resume,
            on_other_app=sync_endpoints.on_other_app,
            board=self._management.board,
            slot=self._management.slot,
        )

    async def _open_listeners(self, sockets: list[socket.socket] | None) -> list[list[socket.socket]]:
        """Return the listeners in groups, one for each item of `servers`."""
        if sockets is None:
            return [await open_listeners(self.config)]
        for listener in sockets:
            start_listening(listener, self.config.backlog)
        return [[listener] for listener in sockets]

    def _log_started_message(self, listeners: Sequence[socket.socket]) -> None:
        log_running(self.config, listeners[0])

    async def main_loop(self) -> None:
        """Serve until there is a reason to end."""
        # A subclass with an `on_tick` of its own expects to be called every tenth of a second.
        is_overridden = getattr(self.on_tick, "__func__", None) is not Server.on_tick
        seconds = None if self.config.uds is None else UDS_CHECK_SECONDS
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % TICKS_A_DAY
            if is_overridden:
                await asyncio.sleep(TICK_SECONDS)
            else:
                await self._wait_until(self._has_reason_to_exit, timeout=seconds)

    def _has_reason_to_exit(self) -> bool:
        return self._should_exit or self._is_past_limit()

    def _is_past_limit(self) -> bool:
        """Tell whether enough was served; a supervised server asks to be replaced first, and serves on."""
        limit = self.limit_max_requests
        if limit is None or self.server_state.total_requests < limit:
            return False
        if self.supervised is None:
            return True
        if not self._has_told_limit:
            self._has_told_limit = True
            logger.info(LIMIT_LINE, limit)
            self.supervised.on_limit()
        return False

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to end; a subclass sees `counter` rise ten times a second and start over each day."""
        for group in self.servers:
            group.check_path()
        await self._notify_when_due()
        if not self._has_reason_to_exit():
            return False
        if not self.should_exit:
            logger.info(LIMIT_LINE, self.limit_max_requests)
        return True

    async def _delay_drain(self) -> None:
        """Go on serving for `drain_delay`, no longer ready; a supervisor does that for its workers."""
        if self.supervised is not None or self._retire_seconds is not None:
            return
        self._management.set_draining()
        if self.config.drain_delay and signal.SIGINT not in self._captured_signals:
            await self._wait_until(lambda: self.force_exit, timeout=self.config.drain_delay)

    def retire(self, grace: float = REPLACED_GRACE_SECONDS) -> None:
        """Have the server end because another one has taken over its listeners; from any thread.

        Idle connections are kept for their next request, or until their deadline, or for `grace` seconds: a client
        that reuses one at this moment must not find it closed.
        """
        self._retire_seconds = grace
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, let the exchanges finish, then end the app; `sockets` as in `startup`."""
        logger.info("Shutting down")
        await asyncio.sleep(0)  # handlers that the loop has for the signal (add_signal_handler) come first
        self._management.set_state("leaving")
        http_server = self.server_state.http_server
        assert http_server is not None, "startup comes before shutdown"
        for group in self.servers:
            group.close()
        for listener in sockets or ():
            listener.close()
        for group in self.servers:
            await group.wait_closed()
        await self._keep_connections(http_server)
        http_server.drain()
        await self._wait_until(self._is_idle, timeout=IDLE_CONNECTIONS_GRACE_SECONDS)
        if not self._is_idle():
            await self._end_exchanges(http_server)
        if not self.force_exit:
            await self.lifespan.shutdown()
        self._close()

    async def _keep_connections(self, http_server: HttpServer) -> None:
        """Keep idle connections a while for their next request: a server that is replaced, or ended by SIGTERM."""
        seconds, signals = self._retire_seconds, len(self._captured_signals)
        if signals:
            seconds = None if signal.SIGINT in self._captured_signals else TERMINATED_GRACE_SECONDS
        if seconds is None:
            return
        http_server.retire()
        limit = self.config.timeout_graceful_shutdown
        # Another signal means that there is no time for it.
        await self._wait_until(
            lambda: self._is_idle() or len(self._captured_signals) > signals,
            timeout=min(seconds, math.inf if limit is None else limit),
        )

    async def _end_exchanges(self, http_server: HttpServer) -> None:
        """Let them finish in the time that the config gives them, then cancel what is left."""
        try:
            await asyncio.wait_for(self._wait_tasks_to_complete(), self.config.timeout_graceful_shutdown)
        except asyncio.TimeoutError:
            running = len(self.server_state.tasks)
            logger.error("Cancel %s running task(s), timeout graceful shutdown exceeded", running)
            http_server.cancel_tasks("Task cancelled, timeout graceful shutdown exceeded")
            await self._wait_until(self._is_idle, timeout=CANCELLED_TASKS_GRACE_SECONDS)

    def _is_idle(self) -> bool:
        return self.force_exit or not (self.server_state.connections or self.server_state.tasks)

    async def _wait_tasks_to_complete(self) -> None:
        state = self.server_state
        if state.connections and not self.force_exit:
            logger.info("Waiting for connections to close. (CTRL+C to force quit)")
            await self._wait_until(lambda: self.force_exit or not state.connections)
        if state.tasks and not self.force_exit:
            logger.info("Waiting for background tasks to complete. (CTRL+C to force quit)")
            await self._wait_until(lambda: self.force_exit or not state.tasks)

    def _close(self) -> None:
        """End everything that is still open, waiting for nothing; may be called twice."""
        for group in self.servers:
            group.close()
        if self._sync_endpoints is not None:
            self._sync_endpoints.stop()
        if self.server_state.http_server is not None:
            self.server_state.http_server.close()
        self._management.close()

    async def _wait_until(self, is_done: Callable[[], bool], timeout: float | None = None) -> None:
        """Sleep until a condition holds that `_changed` announces, or `timeout` seconds; notify meanwhile."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            # Cleared before the look, so that a change after the look is not lost.
            self._changed.clear()
            seconds = min(await self._notify_when_due(), end - time.monotonic())
            if is_done() or end <= time.monotonic():
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if seconds == math.inf else max(seconds, 0.0))

    async def _notify_when_due(self) -> float:
        """Await `callback_notify` if it is time, and return in how many seconds it will be again."""
        if self.config.callback_notify is None:
            return math.inf
        # uvicorn looks at the clock once a tick, so it is not more often there either.
        interval = max(self.config.timeout_notify, TICK_SECONDS)
        if time.monotonic() - self._last_notified >= interval:
            self._last_notified = time.monotonic()
            self.last_notified = time.time()
            await self.config.callback_notify()
        return self._last_notified + interval - time.monotonic()

    def _wake(self) -> None:
        """Let `_wait_until` look again; from any thread, and from a signal handler."""
        if self._loop is not None:
            # RuntimeError: the loop is closed, so nobody waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._changed.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Let SIGINT and SIGTERM end the server, and give them to their former handlers afterwards.

        Only the main thread can have handlers; in other threads this does nothing.
        """
        with answered_by(self.handle_exit, self._captured_signals):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End gracefully at the first signal, at once at a SIGINT after that."""
        self._captured_signals.append(sig)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

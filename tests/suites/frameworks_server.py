"""A server on loopback for one test client: bicorn or uvicorn, in a thread with an event loop of its own.

Imported by the frameworks' own test suites, in which `tests` is another package: modules beside this one are top-level
names here. The app is served as it is. Whatever wrapped it would take its routes out of the endpoint lane, so what an
app raises is learned from the server's log.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import ssl
import threading
import time
from collections import OrderedDict
from contextlib import ExitStack, suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio.from_thread
from starlette.testclient import httpx

# An app that is still running so long after its client has gone is cancelled, as the in-process client does at once:
# time enough to notice by itself.
CANCEL_SECONDS = 0.5
# A server that does not get idle or end in this time hangs.
HANG_SECONDS = 10.0
POLL_SECONDS = 0.0002
# More than the clients that one test has at a time. Kept, so that a module's client finds its server again; ended, so
# that hundreds of clients do not use up the descriptors.
KEPT_SERVERS = 6
# Which of the endpoint figures is the number of jobs.
JOBS = 4
# Made once, and not used: a transport that is given none reads all certificates that the machine trusts.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Choice:
    """Which server runs, how, and what it was asked; the plugin sets it once."""

    def __init__(self) -> None:
        self.module: ModuleType = importlib.import_module("types")
        self.options: dict[str, Any] = {}
        self.started = 0
        self.requests = 0
        # What bicorn's endpoint threads were given, requests or calls of functions, and the routes that it has proven
        # to need no loop.
        self.endpoint_jobs = 0
        self.lanes = 0

    def choose(self, name: str, sync_endpoints: str | None) -> None:
        """Take a server by its module's name, and its mode if it has modes."""
        self.module = importlib.import_module(name)
        if sync_endpoints is not None:
            self.options = {"sync_endpoints": sync_endpoints}
            self._count_lanes()

    def _count_lanes(self) -> None:
        threads: Any = importlib.import_module("bicorn.threads")
        plan_lanes = threads.plan_lanes

        def plan(app: Any) -> Any:
            planned = plan_lanes(app)
            self.lanes += sum(route.why_not is None for route in planned.routes)
            return planned

        threads.plan_lanes = plan

    @property
    def is_uvicorn(self) -> bool:
        return self.module.__name__ == "uvicorn"

    def count(self) -> int:
        """Return a number that rises with each server and each request."""
        return self.started + self.requests


choice = Choice()


class Raised(logging.Handler):
    """Collects what apps raise, from the records that a server writes about it.

    A record belongs to the request that began last and is not over: others wait for that one, as in an app that uses a
    test client itself.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._open: list[list[BaseException]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = None if record.exc_info is None else record.exc_info[1]
        # Cancelled is what has outlived its client.
        if error is not None and self._open and not isinstance(error, asyncio.CancelledError):
            self._open[-1].append(error)

    def open(self) -> list[BaseException]:
        """Begin a request; the list is filled until `close`."""
        collected: list[BaseException] = []
        self._open.append(collected)
        return collected

    def close_request(self, collected: list[BaseException]) -> None:
        """End a request; may be called twice."""
        self._open = [each for each in self._open if each is not collected]


raised = Raised()


def lifespan_with(state: dict[str, Any], server_class: Any) -> type:
    """Return a server's own lifespan with the client's state; it keeps in `error` what the app raises in it."""

    class Lifespan(server_class):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.error: BaseException | None = None
            self.state = state
            self._app = config.loaded_app
            self.config = SimpleNamespace(loaded_app=self._run, asgi_version=config.asgi_version, lifespan="on")

        async def _run(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await self._app(scope, receive, send)
            except BaseException as error:
                self.error = error
                raise

    return Lifespan


class LoopbackServer:
    """Serves one app for one client, from `start` to `stop`."""

    def __init__(self, app: Any, *, state: dict[str, Any], root_path: str, has_lifespan: bool) -> None:
        self.app = app
        self.state = state
        self.root_path = root_path
        self.has_lifespan = has_lifespan
        self.port = 0
        self.http: httpx.HTTPTransport
        self.portal: anyio.from_thread.BlockingPortal
        self._portal = ExitStack()
        self._server: Any
        self._serving: asyncio.Task[None]

    def start(self) -> None:
        """Start it; raises what the app raises in its lifespan."""
        choice.started += 1
        self.http = httpx.HTTPTransport(verify=NO_TLS)
        self.portal = self._portal.enter_context(anyio.from_thread.start_blocking_portal("asyncio"))
        if not self.portal.call(self._start):
            self._portal.close()
            self._raise_lifespan_error()
            raise AssertionError("the server did not start")

    def stop(self) -> None:
        """Close the connections of the client and end the server; raises what the app raises in its lifespan."""
        self.http.close()
        try:
            self.portal.call(self._stop)
        finally:
            self._portal.close()
        self._raise_lifespan_error()

    def forget_connections(self) -> None:
        """Close the connections of the client, so that the next request opens one."""
        self.http.close()
        self.http = httpx.HTTPTransport(verify=NO_TLS)

    def wait_until_idle(self, *, is_abandoned: bool) -> None:
        """Wait until no request is being worked on, background tasks included.

        Args:
            is_abandoned: Nobody wants to know how it ends: what does not end by itself is cancelled.
        """
        begin = time.monotonic()
        is_cancelled = False
        while len(self._server.server_state.tasks):
            waited = time.monotonic() - begin
            if waited > HANG_SECONDS:
                raise AssertionError(f"a request of {self.app!r} is still running after {HANG_SECONDS} s")
            if is_abandoned and waited > CANCEL_SECONDS and not is_cancelled:
                is_cancelled = True
                self.portal.call(self._cancel)
            time.sleep(POLL_SECONDS)

    async def _start(self) -> bool:
        module = choice.module
        config = module.Config(
            self.app,
            port=0,
            interface="asgi3",
            lifespan="on" if self.has_lifespan else "off",
            root_path=self.root_path,
            log_config=None,
            access_log=False,
            timeout_keep_alive=60,
            **choice.options,
        )
        config.load()
        config.lifespan_class = lifespan_with(self.state, config.lifespan_class)
        server = self._server = module.Server(config)
        if choice.is_uvicorn:
            server.lifespan = config.lifespan_class(config)
            with suppress(SystemExit):
                await server.startup()
        else:
            self._serving = asyncio.get_running_loop().create_task(self._serve())
            while not server.started and not self._serving.done():
                await asyncio.sleep(POLL_SECONDS)
        if server.started:
            self.port = server.servers[0].sockets[0].getsockname()[1]
        return bool(server.started)

    async def _serve(self) -> None:
        # A start that failed ends the process elsewhere, which here would be this loop.
        with suppress(SystemExit):
            await self._server.serve()

    async def _stop(self) -> None:
        if not choice.is_uvicorn:
            choice.endpoint_jobs += self._server.server_state.http_server.endpoint_figures[JOBS]
            self._server.should_exit = True
            await self._serving
            return
        # What its `serve` does, without the tenths of a second that it sleeps.
        for server in self._server.servers:
            server.close()
        async with asyncio.timeout(HANG_SECONDS):
            while self._server.server_state.connections:
                await asyncio.sleep(POLL_SECONDS)
        await self._server.lifespan.shutdown()

    async def _cancel(self) -> None:
        if not choice.is_uvicorn:
            self._server.server_state.http_server.cancel_tasks("the client has gone")
        else:
            for task in list(self._server.server_state.tasks):
                task.cancel()

    def _raise_lifespan_error(self) -> None:
        error = self._server.lifespan.error
        if error is not None:
            raise error


class KeptServers:
    """The running servers of clients that are used without `with`, the one used last at the end."""

    def __init__(self) -> None:
        self._servers: OrderedDict[LoopbackServer, None] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, server: LoopbackServer) -> LoopbackServer:
        """Return `server`, started if it is not running."""
        with self._lock:
            if server not in self._servers:
                server.start()
                self._servers[server] = None
            self._servers.move_to_end(server)
        return server

    def end(self, server: LoopbackServer) -> None:
        """End it if it is running; it can be used again."""
        with self._lock:
            is_running = server in self._servers
            self._servers.pop(server, None)
        if is_running:
            server.stop()

    def end_oldest(self, keep: int = KEPT_SERVERS) -> None:
        """End all but the `keep` that were used last."""
        while len(self._servers) > keep:
            self.end(next(iter(self._servers)))


kept_servers = KeptServers()

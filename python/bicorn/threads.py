"""Endpoint threads from Python's side: `anyio.to_thread.run_sync` while bicorn serves, and the lane for proven routes.

    run_sync(function)
      in an endpoint thread that drives an exchange ─▶ call it, here and now
      in the loop of a server, where nobody can tell ─▶ call it in one of the server's endpoint threads
      anywhere else ─▶ anyio's own

Nothing here imports anyio: an app that does not use it pays nothing. What may be told apart is left to anyio: a limiter
of the caller's, a call that may be abandoned, a task that is being cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from bicorn._bicorn import call_here, is_driving, to_loop
from bicorn.sync_endpoints import format_lanes, install_hooks, needs_loop, plan_lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    from bicorn._bicorn import HttpServer
    from bicorn.config import Config

logger = logging.getLogger("uvicorn.error")


# In the place of a result, which may be anything: the call is anyio's business.
_LEFT_TO_ANYIO: Any = object()


class _Anyio:
    """The parts of anyio that are needed, most of them private."""

    def __init__(self) -> None:
        """Find them.

        Raises:
            ImportError: anyio is another one than this was written for.
            AttributeError: The same.
        """
        import anyio.to_thread
        from anyio import CancelScope
        from anyio._backends._asyncio import AsyncIOBackend, _task_states
        from anyio._core import _eventloop

        # A module, and an attribute of it that is replaced.
        self.to_thread: Any = anyio.to_thread
        self.cancel_scope = CancelScope
        self.backend = AsyncIOBackend
        self.task_states = _task_states
        self.locals = _eventloop.threadlocals
        self.claim_worker_thread = _eventloop.claim_worker_thread
        self.limiter = anyio.to_thread.current_default_thread_limiter()
        # What its `_must_cancel` and scopes are read from; absent, they would read as "not cancelled".
        CancelScope.cancel_called  # noqa: B018
        # Endpoint threads use these without the loop.
        for name in ("_borrowers", "_wait_queue", "_notify_next_waiter"):
            getattr(self.limiter, name)


class _Pool:
    """The endpoint threads of one server, as `run_sync` needs them."""

    def __init__(self, anyio: _Anyio, http_server: HttpServer) -> None:
        self.limiter = anyio.limiter
        self.cancel_scope = anyio.cancel_scope
        self.task_states = anyio.task_states
        self.http_server = http_server

    async def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call a function in an endpoint thread, unless that is anyio's business."""
        task = asyncio.current_task()
        limiter = self.limiter
        if task is None or _is_cancelled(task):
            return _LEFT_TO_ANYIO
        state = self.task_states.get(task)
        scope = None if state is None else state.cancel_scope
        if scope is not None and _is_scope_cancelled(scope):
            return _LEFT_TO_ANYIO
        if not self.http_server.has_token():
            # In the limiter's own queue, behind everybody who waits there.
            await limiter.acquire_on_behalf_of(task)
            try:
                return await self._call(function, arguments, scope)
            finally:
                limiter.release_on_behalf_of(task)
        return await self._call(function, arguments, scope)

    async def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], scope: Any) -> Any:
        future = self.http_server.call_in_thread(function, arguments, _copy_context(), scope, _key(function))
        if future is None:
            return _LEFT_TO_ANYIO
        if scope is None:
            return await future
        # As in anyio: a cancellation waits until the function is over.
        with self.cancel_scope(shield=True):
            return await future


_pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
# Servers start and stop in several threads of one process.
_lock = threading.Lock()
_original: Any = None


async def _run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    if is_driving():
        result = call_here(function, args)
        if needs_loop(result):
            await to_loop()
        return result
    if not options:
        # Not `get_running_loop`: under trio there is none of asyncio's.
        loop = asyncio._get_running_loop()
        pool = None if loop is None else _pools.get(loop)
        if pool is not None:
            result = await pool.call(function, args)
            if result is not _LEFT_TO_ANYIO:
                return result
    return await _original(function, *args, **options)


def _shorten(modules: tuple[str, ...]) -> None:
    """Have FastAPI call functions at once in the lane, past two coroutines and two partials: 1 µs for each of them."""
    for name in modules:
        module: Any = sys.modules.get(name)
        original = getattr(module, "run_in_threadpool", None)
        if original is not None and not hasattr(original, "is_bicorns"):
            module.run_in_threadpool = _shortened(original)


def _shortened(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def run_in_threadpool(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not is_driving():
            return await original(func, *args, **kwargs)
        result = call_here(func, args, kwargs)
        if needs_loop(result):
            await to_loop()
        return result

    run_in_threadpool.is_bicorns = True  # type: ignore[attr-defined]
    return run_in_threadpool


def _is_cancelled(task: asyncio.Task[Any]) -> bool:
    # `_must_cancel`: asked to be cancelled, and not told yet.
    return bool(getattr(task, "_must_cancel", False))


def _is_scope_cancelled(scope: Any) -> bool:
    while scope is not None:
        if scope.cancel_called:
            return True
        if scope.shield:
            return False
        scope = scope._parent_scope
    return False


def _copy_context() -> contextvars.Context:
    context = contextvars.copy_context()
    _forget_library(context)
    return context


def _forget_library(context: contextvars.Context) -> None:
    """Have sniffio find no event loop in a context; it may have been told of one."""
    sniffio = sys.modules.get("sniffio")
    if sniffio is not None:
        variable = sniffio.current_async_library_cvar
        if context.get(variable) is not None:
            context.run(variable.set, None)


def _key(function: Any) -> int:
    """Return a number that stands for the function at the heart of partials and methods."""
    while isinstance(function, functools.partial):
        function = function.keywords.get("function", function.func)
    return id(getattr(function, "__func__", function))


class _Worker:
    """One endpoint thread, among those who hold a token of the limiter."""

    def __init__(self, thread: threading.Thread, claim: object) -> None:
        self.thread = thread
        # It must end in its thread, and does so with this object.
        self._claim = claim

    def __repr__(self) -> str:
        return f"<{self.thread!r} of bicorn>"

    def __del__(self) -> None:
        # At the end of the thread, and in it. Before Python 3.12 nobody else takes it out.
        _forget_thread(self.thread)


def _threads() -> dict[int, threading.Thread]:
    """Return the threads that `threading` knows, by their number."""
    known: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # private
    return known


def _forget_thread(thread: threading.Thread | None) -> None:
    """Have `threading` forget a thread that it has not started."""
    if thread is not None and thread.ident is not None and _threads().get(thread.ident) is thread:
        _threads().pop(thread.ident, None)


def _enter_thread(anyio: _Anyio, loop: asyncio.AbstractEventLoop) -> _Worker:
    """Make the current thread what a worker thread of anyio is; return what stands for it among borrowers of tokens."""
    # What stands there is left of a thread that had the same number before.
    _forget_thread(_threads().get(threading.get_ident()))
    thread = threading.current_thread()
    thread.name = "AnyIO worker thread"
    trace, profile = threading.gettrace(), threading.getprofile()
    if trace is not None:
        sys.settrace(trace)
    if profile is not None:
        sys.setprofile(profile)
    claim = anyio.claim_worker_thread(anyio.backend, loop)
    claim.__enter__()
    anyio.locals.current_cancel_scope = None
    return _Worker(thread, claim)


class SyncEndpoints:
    """What `sync_endpoints` means for one server, from before lifespan start-up until its end."""

    def __init__(self, config: Config) -> None:
        """Set the limit; in the server's loop, before the app is started."""
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._anyio: _Anyio | None = None
        # Nobody else can have imported it by now, and without anyio there is nothing to do.
        if "anyio" in sys.modules and (config.sync_endpoints != "off" or config.endpoint_threads is not None):
            try:
                self._anyio = _Anyio()
            except (ImportError, AttributeError) as error:
                logger.warning("cannot use endpoint threads with this version of anyio: %s", error)
        if self._anyio is not None and config.endpoint_threads is not None:
            self._anyio.limiter.total_tokens = config.endpoint_threads

    def start(self, http_server: HttpServer, context: contextvars.Context) -> None:
        """Serve sync endpoints by endpoint threads: before requests are."""
        if self._anyio is None or self._config.sync_endpoints == "off":
            return
        context = context.copy()
        _forget_library(context)
        self._http_server = http_server
        http_server.use_endpoint_threads(
            context=context,
            enter=functools.partial(_enter_thread, self._anyio, self._loop),
            limiter=self._anyio.limiter,
            locals=self._anyio.locals,
        )
        global _original
        with _lock:
            if not _pools:
                _original = self._anyio.to_thread.run_sync
                self._anyio.to_thread.run_sync = functools.wraps(_original)(_run_sync)
            _pools[self._loop] = _Pool(self._anyio, http_server)
        if self._config.sync_endpoints == "auto":
            self.open_lanes()

    def open_lanes(self) -> None:
        """Find out which routes need no loop, and send their requests past it."""
        plan = plan_lanes(self._config.loaded_app)
        if logger.isEnabledFor(logging.DEBUG):
            for line in format_lanes(plan).splitlines():
                logger.debug("%s", line)
        if all(route.why_not is not None for route in plan.routes):
            return
        install_hooks(to_loop, is_driving)
        _shorten(("fastapi.routing", "fastapi.dependencies.utils"))
        routes = [
            (
                None if route.methods is None else sorted(route.methods),
                None if route.parts is None else list(route.parts),
                route.name,
                route.why_not is None,
            )
            for route in plan.routes
        ]
        self._http_server.open_lanes(routes, plan.root_path, list(plan.guards))

    def on_other_app(self) -> None:
        """Look again at an app whose routes or overrides have changed."""
        logger.debug("the app has changed: looking at its routes again")
        self.open_lanes()

    def stop(self) -> None:
        """Leave anyio as it was. May be called twice."""
        with _lock:
            if _pools.pop(self._loop, None) is not None and not _pools and self._anyio is not None:
                self._anyio.to_thread.run_sync = _original

"""The frameworks' steps that need an event loop, made to ask for it.

An endpoint thread has no loop. Where a step needs one, it awaits `to_loop()` first, which moves the exchange to the
loop thread and costs nothing there. Outside of the lane every hook does what it stands for.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bicorn.sync_endpoints.frameworks import is_exactly, loaded, plain_function

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Handlers that the frameworks bring are `async` and await nothing.
FRAMEWORK_HANDLERS = ("starlette.middleware.exceptions", "fastapi.exception_handlers")


class Lane:
    """How the endpoint threads are asked; until `install_hooks` there are none."""

    def __init__(self) -> None:
        """Begin with no lane."""
        self.to_loop: Callable[[], Awaitable[None]] = _stay
        self.is_driving: Callable[[], bool] = bool


async def _stay() -> None: ...


LANE = Lane()


def install_hooks(to_loop: Callable[[], Awaitable[None]], is_driving: Callable[[], bool]) -> None:
    """Put the hooks into the frameworks that are imported; a second call only takes its arguments.

    Args:
        to_loop: What a step awaits to go on in the event loop's thread, in a task.
        is_driving: Tells whether framework code of the lane is what the calling thread runs.
    """
    LANE.to_loop = to_loop
    LANE.is_driving = is_driving
    for module, name, hook in (
        ("starlette.background:BackgroundTask", "__call__", hook_background_task),
        ("starlette.background:BackgroundTasks", "__call__", hook_background_tasks),
        ("fastapi.background:BackgroundTasks", "__call__", hook_background_tasks),
        ("starlette:_exception_handler", "is_async_callable", hook_is_async_callable),
        ("starlette:_exception_handler", "run_in_threadpool", hook_run_in_threadpool),
        ("starlette.middleware:errors", "is_async_callable", hook_is_async_callable),
        ("starlette.middleware:errors", "run_in_threadpool", hook_run_in_threadpool),
        ("starlette.middleware:gzip", "_get_gzip_capacity_limiter", hook_capacity_limiter),
        ("fastapi:concurrency", "CancelScope", hook_cancel_scope),
    ):
        holder = loaded(module)
        original = None if holder is None else vars(holder).get(name)
        if original is not None and not hasattr(original, "bicorn_original"):
            replacement: Any = functools.update_wrapper(hook(original), original)
            replacement.bicorn_original = original
            setattr(holder, name, replacement)


def hook_background_task(original: Any) -> Any:
    """Run an `async` background task on the loop."""

    async def __call__(self: Any) -> None:
        if self.is_async:
            await LANE.to_loop()
        await original(self)

    return __call__


def hook_background_tasks(original: Any) -> Any:
    """Run tasks of a class that is not known on the loop."""

    async def __call__(self: Any) -> None:
        if not all(is_exactly(task, "starlette.background:BackgroundTask") for task in self.tasks):
            await LANE.to_loop()
        await original(self)

    return __call__


def hook_is_async_callable(original: Any) -> Any:
    """Let an application's `async` exception handler go the way of the others, where the next hook waits for it."""

    def is_async_callable(handler: Any) -> Any:
        return original(handler) and (_is_of_framework(handler) or not LANE.is_driving())

    return is_async_callable


def hook_run_in_threadpool(original: Any) -> Any:
    """Run an `async` exception handler on the loop; Starlette itself passes none of them here."""
    is_async_callable = loaded("starlette._utils:is_async_callable")

    async def run_in_threadpool(function: Any, *args: Any, **kwargs: Any) -> Any:
        if is_async_callable(function):
            await LANE.to_loop()
            return await function(*args, **kwargs)
        return await original(function, *args, **kwargs)

    return run_in_threadpool


def hook_capacity_limiter(original: Any) -> Any:
    """Compress long content on the endpoint thread; a limiter belongs to an event loop."""

    def _get_gzip_capacity_limiter() -> Any:
        return None if LANE.is_driving() else original()

    return _get_gzip_capacity_limiter


def hook_cancel_scope(original: Any) -> Any:
    """End a dependency without a scope where nothing can be cancelled."""

    def CancelScope(*args: Any, **kwargs: Any) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = nullcontext() if LANE.is_driving() else original(*args, **kwargs)
        return scope

    return CancelScope


def _is_of_framework(handler: Any) -> bool:
    function = plain_function(handler)
    return getattr(function, "__globals__", {}).get("__name__") in FRAMEWORK_HANDLERS

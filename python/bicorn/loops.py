"""Event loops: which one `--loop` means, and how to run the server in a new one."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

logger = logging.getLogger("uvicorn.error")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def auto_loop_factory(use_subprocess: bool = False) -> LoopFactory:
    """Choose uvloop if it is installed, else asyncio."""
    try:
        return uvloop_loop_factory(use_subprocess)
    except ImportError:
        return asyncio_loop_factory(use_subprocess)


def asyncio_loop_factory(use_subprocess: bool = False) -> LoopFactory:
    """Choose the standard library's loop."""
    # A socket that Windows shares between processes cannot be served by the proactor.
    if sys.platform == "win32" and not use_subprocess:
        return asyncio.ProactorEventLoop
    return asyncio.SelectorEventLoop


def uvloop_loop_factory(use_subprocess: bool = False) -> LoopFactory:
    """Choose uvloop.

    Raises:
        ImportError: It is not installed.
    """
    import uvloop

    factory: LoopFactory = uvloop.new_event_loop
    return factory


def zuvloop_loop_factory(use_subprocess: bool = False) -> LoopFactory:
    """Choose zuvloop if it is installed, else as auto does."""
    try:
        zuvloop = import_module("zuvloop")
    except ImportError:
        logger.info("loop=zuvloop has no meaning here: zuvloop is not installed; taking auto")
        return auto_loop_factory(use_subprocess)
    factory: LoopFactory = zuvloop.new_event_loop
    return factory


def run_in_new_loop(main: Callable[[], Coroutine[Any, Any, None]], loop_factory: LoopFactory | None) -> None:
    """Run `main` as the root task of a new loop, then end what it left behind, like `asyncio.run`.

    Raises:
        RuntimeError: There is a running loop in this thread.
    """
    if _in_running_loop():
        # The words by which users of notebooks find help.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop; await Server.serve() in it")
    _run(main(), loop_factory)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs in this thread.

    Raises:
        RuntimeError: There is none, or it has nothing of asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "cannot serve without a running asyncio event loop, and trio's is none; Server.run() makes one in a thread"
        ) from None


def _in_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


if sys.version_info >= (3, 11):

    def _run(main: Coroutine[Any, Any, None], loop_factory: LoopFactory | None) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main)

else:

    def _run(main: Coroutine[Any, Any, None], loop_factory: LoopFactory | None) -> None:
        loop = asyncio.new_event_loop() if loop_factory is None else loop_factory()
        try:
            loop.run_until_complete(main)
        finally:
            try:
                loop.run_until_complete(_end_leftovers(loop))
            finally:
                loop.close()

    async def _end_leftovers(loop: asyncio.AbstractEventLoop) -> None:
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        outcomes = await asyncio.gather(*leftovers, return_exceptions=True)
        for outcome, task in zip(outcomes, leftovers, strict=True):
            if isinstance(outcome, Exception):
                loop.call_exception_handler(
                    {"message": "unhandled exception while the loop ends", "exception": outcome, "task": task}
                )
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

"""`asyncio_run` and `iscoroutinefunction`, which workers for gunicorn import from `uvicorn._compat`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bicorn.asgi import iscoroutinefunction as iscoroutinefunction
from bicorn.loops import run_in_new_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["asyncio_run", "iscoroutinefunction"]


def asyncio_run(
    main: Coroutine[Any, Any, Any],
    *,
    debug: bool = False,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:
    """Run a coroutine in a new loop, as `asyncio.run` does since Python 3.12.

    Raises:
        ValueError: It is no coroutine.
    """
    if not asyncio.iscoroutine(main):
        raise ValueError(f"a coroutine was expected, got {main!r}")
    result: Any = None

    async def keep_result() -> None:
        nonlocal result
        if debug:
            asyncio.get_running_loop().set_debug(True)
        result = await main

    run_in_new_loop(keep_result, loop_factory)
    return result

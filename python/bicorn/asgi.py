"""Between the Rust half and the app: the call itself, and what `Config.load` wraps around the app."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import TYPE_CHECKING, Any

from bicorn.constants import TRACE_LOG_LEVEL

if sys.version_info >= (3, 14):
    from inspect import iscoroutinefunction as iscoroutinefunction
else:
    # Knows the mark of `asgiref.sync.markcoroutinefunction`, which `inspect` learned in 3.12.
    from asyncio import iscoroutinefunction as iscoroutinefunction

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from contextvars import Context

    from bicorn._types import (
        ASGI2Application,
        ASGI3Application,
        Event,
        Exchange,
        InterfaceType,
        Receive,
        Scope,
        Send,
    )


async def run_asgi(app: ASGI3Application, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
    """Run one request. Every request task is this coroutine, so that an app's error never reaches the loop.

    Even `CancelledError` and `SystemExit` end here, as in uvicorn: one request must not end the server.
    """
    try:
        result: object = await app(scope, receive, send)  # type: ignore[func-returns-value]
    except BaseException as error:
        exchange.failed(error)
    else:
        exchange.returned(result)


class _Resumed:
    """A coroutine that was begun elsewhere, in a context of its own, as something to await.

    For what a task cannot do by itself: enter a given context (Python before 3.12), or wait first for what the
    coroutine has yielded already.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context, yielded: object) -> None:
        self._coroutine = coroutine
        self._context = context
        self._yielded = yielded

    def __await__(self) -> Generator[Any, Any, None]:
        run, send, throw = self._context.run, self._coroutine.send, self._coroutine.throw
        yielded = self._yielded
        try:
            while True:
                try:
                    if yielded is not None:
                        yield yielded
                except BaseException as error:
                    yielded = run(throw, error)
                else:
                    yielded = run(send, None)
                    if yielded is None:
                        # A bare yield: one turn of the loop.
                        yield
        except StopIteration:
            return


async def resume(coroutine: Coroutine[Any, Any, None], context: Context, yielded: object) -> None:
    """Go on with a request that was begun in an endpoint thread and needs the event loop."""
    await _Resumed(coroutine, context, yielded)


class ASGI2Middleware:
    """Gives an ASGI 2 app, called in two steps, the shape of ASGI 3."""

    def __init__(self, app: ASGI2Application) -> None:
        """Wrap an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the instance for this scope and run it."""
        await self.app(scope)(receive, send)


# What is logged in place of contents, which may be long or secret.
PLACEHOLDERS = {"body": "<{} bytes>", "bytes": "<{} bytes>", "text": "<{} chars>", "headers": "<...>"}


def with_placeholders(event: Event) -> dict[str, Any]:
    """Copy an event or a scope without its contents."""
    return {
        key: PLACEHOLDERS[key].format(len(value)) if key in PLACEHOLDERS and value is not None else value
        for key, value in event.items()
    }


class MessageLoggerMiddleware:
    """Logs all events of all exchanges on `uvicorn.asgi`, at trace level."""

    def __init__(self, app: ASGI3Application) -> None:
        """Wrap an app."""
        self.app = app
        self.logger = logging.getLogger("uvicorn.asgi")
        # Numbers the exchanges, so that their lines can be told apart.
        self.task_counter = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app between `Started` and `Completed` or `Raised exception`."""
        self.task_counter += 1
        number = self.task_counter
        client = scope.get("client")
        prefix = f"{client[0]}:{client[1]} - ASGI" if client else "ASGI"

        def trace(text: str, *args: object) -> None:
            self.logger.log(TRACE_LOG_LEVEL, "%s [%d] " + text, prefix, number, *args)

        async def logged_receive() -> Event:
            event = await receive()
            trace("Receive %s", with_placeholders(event))
            return event

        async def logged_send(event: Event) -> None:
            trace("Send %s", with_placeholders(event))
            await send(event)

        trace("Started scope=%s", with_placeholders(scope))
        try:
            await self.app(scope, logged_receive, logged_send)
        except BaseException:
            trace("Raised exception")
            raise
        trace("Completed")


def detect_interface(app: object) -> InterfaceType:
    """Guess whether an app is ASGI 3 (one coroutine call) or ASGI 2 (two steps), as uvicorn does.

    A `functools.partial` or a compiled callable shows no coroutine function, so it is taken for ASGI 2.
    """
    if inspect.isclass(app):
        is_asgi3 = hasattr(app, "__await__")
    elif inspect.isfunction(app):
        is_asgi3 = iscoroutinefunction(app)
    else:
        # Not `callable`: it is the method that is a coroutine function or not.
        is_asgi3 = iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004
    return "asgi3" if is_asgi3 else "asgi2"

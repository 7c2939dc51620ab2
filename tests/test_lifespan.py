"""The lifespan protocol, without a server: what the app sees, what the log says, and what the server is told."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bicorn.lifespan import LifespanOn
from tests import raw
from tests.apps import App, Receive, Scope, Send, responder
from tests.conftest import Serve

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

WAITING = "Waiting for application startup."
COMPLETE = "Application startup complete."
UNSUPPORTED = "ASGI 'lifespan' protocol appears unsupported."
EXCEPTION = "Exception in 'lifespan' protocol\n"
STARTUP_FAILED = "Application startup failed. Exiting."
SHUTDOWN_WAITING = "Waiting for application shutdown."
SHUTDOWN_COMPLETE = "Application shutdown complete."
SHUTDOWN_FAILED = "Application shutdown failed. Exiting."

Make = Callable[..., Any]


@pytest.fixture
def make(server_name: str, caplog: pytest.LogCaptureFixture) -> Make:
    """Make the server's `LifespanOn` for an app."""
    caplog.set_level(logging.DEBUG, "uvicorn.error")
    name = {"uvicorn": "uvicorn.lifespan.on", "bicorn": "bicorn.lifespan"}[server_name]

    def make(app: App, mode: str = "auto") -> Any:
        config = SimpleNamespace(loaded=True, loaded_app=app, asgi_version="3.0", lifespan=mode)
        return importlib.import_module(name).LifespanOn(config)

    return make


def run(make_lifespan: Callable[[], Any], *, shutdown: bool = True) -> Any:
    """Start up and, unless that failed, shut down."""

    async def main() -> Any:
        lifespan = make_lifespan()
        await lifespan.startup()
        if shutdown and not lifespan.should_exit:
            await lifespan.shutdown()
        return lifespan

    return asyncio.run(main())


def sends(*types: str, message: str = "") -> App:
    """Make an app that receives before each event it sends, and then returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event_type in types:
            await receive()
            await send({"type": event_type, **({"message": message} if message else {})})

    return app


def raises_after(*types: str) -> App:
    inner = sends(*types)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        raise RuntimeError("as asked")

    return app


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    """Ignore the lifespan."""


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_app_that_answers_starts_and_ends(make: Make, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    app = sends("lifespan.startup.complete", "lifespan.shutdown.complete")
    lifespan = run(lambda: make(app, mode))
    assert not lifespan.should_exit
    assert caplog.messages == [WAITING, COMPLETE, SHUTDOWN_WAITING, SHUTDOWN_COMPLETE]


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_app_that_returns_counts_as_started(make: Make, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    lifespan = run(lambda: make(returns, mode))
    assert not lifespan.should_exit
    assert caplog.messages == [WAITING, COMPLETE, SHUTDOWN_WAITING, SHUTDOWN_COMPLETE]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("mode", "should_exit", "lines"),
    [("auto", False, [WAITING, UNSUPPORTED, COMPLETE]), ("on", True, [WAITING, EXCEPTION, STARTUP_FAILED])],
)
def test_exception_at_startup(
    make: Make, caplog: pytest.LogCaptureFixture, mode: str, should_exit: bool, lines: list[str]
) -> None:
    lifespan = run(lambda: make(raises_after(), mode))
    assert lifespan.should_exit is should_exit
    assert caplog.messages == lines
    exception_record = caplog.records[1]
    assert (exception_record.levelname, bool(exception_record.exc_info)) == (
        "ERROR" if should_exit else "INFO",
        should_exit,
    )


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_failed_startup_ends_the_server_and_its_message_is_logged(
    make: Make, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    lifespan = run(lambda: make(sends("lifespan.startup.failed", message="no database"), mode))
    assert lifespan.should_exit
    assert caplog.messages == [WAITING, "no database", STARTUP_FAILED]
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR", "ERROR"]


@pytest.mark.parity
def test_exception_after_a_failed_startup_is_not_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    run(lambda: make(raises_after("lifespan.startup.failed"), "on"))
    assert caplog.messages == [WAITING, STARTUP_FAILED]


@pytest.mark.parity
def test_failed_shutdown_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    app = sends("lifespan.startup.complete", "lifespan.shutdown.failed", message="still busy")
    lifespan = run(lambda: make(app))
    assert lifespan.should_exit
    assert caplog.messages[2:] == [SHUTDOWN_WAITING, "still busy", SHUTDOWN_FAILED]


@pytest.mark.parity
def test_shutdown_is_not_sent_to_an_app_that_has_raised(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append((await receive())["type"])
        raise RuntimeError("no lifespan here")

    run(lambda: make(app))
    assert received == ["lifespan.startup"]
    assert SHUTDOWN_WAITING not in caplog.messages


@pytest.mark.parity
@pytest.mark.parametrize(
    "types",
    [
        ("lifespan.startup.complete", "lifespan.startup.complete"),
        ("lifespan.startup.complete", "lifespan.startup.failed"),
        ("lifespan.shutdown.complete",),
        ("lifespan.shutdown.failed",),
        ("lifespan.startup.complete", "lifespan.shutdown.complete", "lifespan.shutdown.complete"),
    ],
)
def test_answer_at_the_wrong_time_is_an_assertion(make: Make, types: tuple[str, ...]) -> None:
    errors: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for event_type in types:
                await send({"type": event_type})
        except AssertionError as error:
            errors.append(str(error))

    run(lambda: make(app))
    assert errors == ["Got invalid state transition on lifespan protocol."]


@pytest.mark.parity
def test_unknown_event_type_is_an_assertion(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    run(lambda: make(sends("lifespan.startup.done"), "on"))
    error = caplog.records[1].exc_info
    assert error is not None
    assert error[0] is AssertionError


@pytest.mark.parity
def test_scope_is_that_of_lifespan_2_0(make: Make) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["key"] = "value"
        scopes.append(scope)

    lifespan = run(lambda: make(app))
    assert scopes == [
        {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {"key": "value"}}
    ]
    assert lifespan.state is scopes[0]["state"]


@pytest.mark.parity
def test_off_does_not_call_the_app(server_name: str, caplog: pytest.LogCaptureFixture) -> None:
    name = {"uvicorn": "uvicorn.lifespan.off", "bicorn": "bicorn.lifespan"}[server_name]
    lifespan = run(lambda: importlib.import_module(name).LifespanOff(SimpleNamespace(loaded_app=None)))
    assert not lifespan.should_exit
    assert lifespan.state == {}
    assert caplog.messages == []


@pytest.mark.parity
def test_requests_run_in_empty_contexts_if_they_are_reset(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            variable.set("startup")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await responder(variable.get().encode())(scope, receive, send)

    with serve(app, lifespan="on", reset_contextvars=True) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"unset"


def test_cancelling_the_lifespan_task_reaches_the_app() -> None:
    cancelled: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        except asyncio.CancelledError:
            cancelled.append("yes")
            raise

    config: Any = SimpleNamespace(loaded=True, loaded_app=app, asgi_version="3.0", lifespan="on")
    # `asyncio.run` cancels what is left.
    run(lambda: LifespanOn(config), shutdown=False)
    assert cancelled == ["yes"]

"""`--asgi-spec`: what `send()` does once the client is gone, and what becomes of the error it then raises."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from queue import SimpleQueue
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bicorn import Config
from bicorn.errors import ClientDisconnected
from tests import raw
from tests.apps import App, Receive, Scope, ScopeKeeper, Send, body, hello, read_body, start
from tests.conftest import Serve, ServeShared
from tests.serving import Served

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

PIECE = b"x" * 16 * 1024
LEAVES = {"FIN": raw.Client.close, "RST": raw.Client.reset}


async def stream(send: Send, ends: SimpleQueue[BaseException]) -> None:
    """Stream until `send` raises, and let it escape."""
    await send(start())
    try:
        while True:
            await send(body(PIECE, more=True))
            await asyncio.sleep(0)
    except BaseException as error:
        ends.put(error)
        raise


def leave_midway(server: Served, leave: Callable[[raw.Client], None]) -> None:
    client = server.connect()
    client.send(raw.request())
    client.response_head()
    client.exactly(1000)
    leave(client)


def expect_quiet(server: Served) -> None:
    """Expect that nothing was logged as an error, once the server has served something else."""
    with server.connect() as client:
        assert client.exchange(raw.request(target="/hello")).status in (200, 404)
    expect_quiet_end(server)


def expect_quiet_end(server: Served) -> None:
    """Expect that nothing was logged as an error."""
    assert [record for record in server.logs.of("uvicorn.error") if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_scope_says_which_version_is_spoken(version: str, serve: Serve) -> None:
    keeper = ScopeKeeper()
    with serve(keeper, asgi_spec=version) as server, server.connect() as client:
        client.exchange(raw.request())
    assert keeper.next()["asgi"] == {"version": "3.0", "spec_version": version}


def test_unknown_version_is_refused() -> None:
    config = Config(hello, log_config=None, asgi_spec="2.4")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match=r"invalid value '2.4' for asgi_spec: must be 2.3 or 2.5"):
        config.load_settings()


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_2_5_send_raises_once_the_client_is_gone(leave: Callable[[raw.Client], None], serve: Serve) -> None:
    ends: SimpleQueue[BaseException] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hello":
            await hello(scope, receive, send)
        else:
            await stream(send, ends)

    with serve(app, asgi_spec="2.5") as server:
        leave_midway(server, leave)
        error = ends.get(timeout=5)
        assert (type(error), isinstance(error, OSError)) == (ClientDisconnected, True)
        expect_quiet(server)
    expect_quiet_end(server)


def test_2_3_send_stays_silent(serve: Serve) -> None:
    told: SimpleQueue[Any] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send(start())
        await send(body(b"x" * 1000, more=True))
        told.put(await receive())
        for _ in range(10):
            await send(body(PIECE, more=True))
        await send(body())
        told.put("sent")

    with serve(app) as server:
        leave_midway(server, raw.Client.reset)
        assert told.get(timeout=5) == {"type": "http.disconnect"}
        assert told.get(timeout=5) == "sent"


def test_2_5_send_raises_behind_a_disconnect_that_was_received(serve: Serve) -> None:
    ends: SimpleQueue[Any] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send(start())
        await send(body(b"x" * 1000, more=True))
        ends.put(await receive())
        try:
            await send(body(b"more"))
        except OSError as error:
            ends.put(error)

    with serve(app, asgi_spec="2.5") as server, server.connect() as client:
        client.send(raw.request())
        client.response_head()
        client.half_close()
        assert ends.get(timeout=5) == {"type": "http.disconnect"}
        assert type(ends.get(timeout=5)) is ClientDisconnected
        client.wait_closed()
    expect_quiet_end(server)


def test_2_5_waiting_send_raises_when_the_client_leaves(serve: Serve) -> None:
    ends: SimpleQueue[BaseException] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hello":
            await hello(scope, receive, send)
        else:
            await stream(send, ends)

    with serve(app, asgi_spec="2.5") as server:
        client = server.connect(receive_buffer=4096)
        client.send(raw.request())
        client.response_head()
        with server.connect() as other:
            for _ in range(50):
                # The stream has stopped for its reader by then.
                other.exchange(raw.request(target="/hello"))
        client.reset()
        assert type(ends.get(timeout=5)) is ClientDisconnected
        expect_quiet(server)


def test_2_5_a_client_that_stays_notices_nothing(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(100):
            await send(body(PIECE, more=True))
        await send(body())
        with pytest.raises(RuntimeError, match="after response already completed"):
            await send(body())

    with serve(app, asgi_spec="2.5") as server, server.connect() as client:
        for _ in range(2):
            assert client.exchange(raw.request()).body == PIECE * 100
    expect_quiet_end(server)


def test_2_5_half_closed_client_is_answered(serve: Serve) -> None:
    with serve(hello, asgi_spec="2.5") as server, server.connect() as client:
        client.send(raw.request())
        client.half_close()
        assert client.response().body == b"hello"


async def _from(error: BaseException) -> None:
    raise RuntimeError("gone") from error


async def _group(error: BaseException) -> None:
    raise BaseExceptionGroup("several", [error, ExceptionGroup("inner", [ClientDisconnected()])])


async def _accident(error: BaseException) -> None:
    raise KeyError("a mistake of the app's own")


async def _mixed(error: BaseException) -> None:
    raise BaseExceptionGroup("several", [error, KeyError("a mistake")])


@pytest.mark.parametrize(
    ("wrap", "is_quiet"),
    [(_from, True), (_group, True), (_accident, False), (_mixed, False)],
    ids=lambda case: str(case),
)
def test_2_5_only_the_disconnect_itself_is_not_an_error_of_the_app(
    wrap: Callable[[BaseException], Awaitable[None]], is_quiet: bool, serve: Serve
) -> None:
    ends: SimpleQueue[BaseException] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hello":
            await hello(scope, receive, send)
            return
        try:
            await stream(send, ends)
        except OSError as error:
            await wrap(error)

    with serve(app, asgi_spec="2.5") as server:
        leave_midway(server, raw.Client.reset)
        ends.get(timeout=5)
        if is_quiet:
            expect_quiet(server)
        else:
            server.logs.wait_for("Exception in ASGI application")


def test_2_5_other_os_errors_are_errors_of_the_app(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionResetError("of a database")

    with serve(app, asgi_spec="2.5") as server, server.connect() as client:
        assert client.exchange(raw.request()).status == 500
        server.logs.wait_for("Exception in ASGI application")


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def streaming_app(ends: SimpleQueue[str], middleware: list[Middleware]) -> App:
    """Make a Starlette app that streams for ever and tells when its part in that is over."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield PIECE
            await asyncio.sleep(0)

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(pieces())

    inner = Starlette(routes=[Route("/", endpoint)], middleware=middleware)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        finally:
            if scope["path"] == "/":
                ends.put("ended")

    return app


@pytest.mark.parametrize("version", ["2.3", "2.5"])
@pytest.mark.parametrize("middleware", [[], [Middleware(Passing)]], ids=["plain", "BaseHTTPMiddleware"])
@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_starlette_stream_ends_with_its_client(
    leave: Callable[[raw.Client], None], middleware: list[Middleware], version: str, serve: Serve
) -> None:
    ends: SimpleQueue[str] = SimpleQueue()
    with serve(streaming_app(ends, middleware), asgi_spec=version) as server:
        leave_midway(server, leave)
        assert ends.get(timeout=5) == "ended"
        expect_quiet(server)
    expect_quiet_end(server)


def test_default_version_is_uvicorns(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        client.exchange(raw.request())
    assert keeper.next()["asgi"]["spec_version"] == "2.3"

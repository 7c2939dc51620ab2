"""`bicorn.testing.serve`: an app on a free port, in a thread, from entry to exit."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from bicorn.testing import RunningServer, ServerFailed, serve
from tests import raw
from tests.apps import Gate, Receive, Scope, Send, body, hello, start
from tests.tls import Authority


def get(server: RunningServer) -> bytes:
    return httpx.get(server.url, timeout=5).content


def lifespan_app(*events: dict[str, Any], error: BaseException | None = None) -> Any:
    """Make an app whose lifespan sends these events, each for one it received, and then raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await hello(scope, receive, send)
        for event in events:
            await receive()
            await send(event)
        if error is not None:
            raise error

    return app


FAILED = {"type": "lifespan.startup.failed", "message": "no database"}
COMPLETE = {"type": "lifespan.startup.complete"}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "auto"])
@pytest.mark.parametrize("app", [hello, "tests.apps:hello"], ids=["object", "import string"])
def test_an_app_is_served_on_a_free_port_and_stopped(app: Any, loop: str) -> None:
    before = threading.active_count()
    with serve(app, loop=loop) as server:
        assert server.host == "127.0.0.1"
        assert server.port == server.server.servers[0].sockets[0].getsockname()[1]
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.websocket_url == f"ws://127.0.0.1:{server.port}"
        assert server.uds is None
        assert server.server.started
        assert get(server) == b"hello"
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        raw.Client(port=server.port)


def test_several_servers_run_at_once() -> None:
    with serve(hello) as first, serve(hello, loop="uvloop") as second, serve(hello) as third:
        assert len({first.port, second.port, third.port}) == 3
        assert [get(server) for server in (first, second, third)] == [b"hello"] * 3


def test_a_factory_is_called() -> None:
    with serve(lambda: hello, factory=True) as server:
        assert get(server) == b"hello"


def test_a_unix_socket_has_no_port(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with serve(hello, uds=path) as server:
        assert (server.uds, server.port, server.url) == (path, None, "http://localhost")
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            assert client.get(server.url).content == b"hello"
    assert not Path(path).exists()


def test_a_descriptor_may_be_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, serve(hello, fd=listener.fileno()) as server:
        assert server.port == listener.getsockname()[1]
        assert get(server) == b"hello"


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")])
def test_the_url_can_be_connected_to(host: str, reached: str) -> None:
    with serve(hello, host=host) as server:
        assert server.url == f"http://{reached}:{server.port}"
        assert get(server) == b"hello"


def test_tls_is_in_the_url(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serve(hello, **authority.issue("127.0.0.1").options) as server:
        assert server.url.startswith("https://")
        assert server.websocket_url.startswith("wss://")
        context = ssl.create_default_context(cafile=authority.certfile)
        assert httpx.get(server.url, verify=context).content == b"hello"


def test_the_lifespan_runs_and_options_count() -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await hello(scope, receive, send)
        for _ in range(2):
            event = await receive()
            events.append(event["type"])
            await send({"type": f"{event['type']}.complete"})

    with serve(app, root_path="/api") as server:
        assert events == ["lifespan.startup"]
        assert server.server.config.root_path == "/api"
    assert events == ["lifespan.startup", "lifespan.shutdown"]


# What goes wrong.


def test_what_the_app_raises_in_its_start_up_is_raised() -> None:
    error = ValueError("no database")
    with pytest.raises(ValueError, match="no database") as raised, serve(lifespan_app(FAILED, error=error)):
        pass
    assert raised.value is error


def test_what_the_app_says_of_its_start_up_is_raised() -> None:
    with (
        pytest.raises(ServerFailed, match=r"^the application's start-up failed: no database$"),
        serve(lifespan_app(FAILED)),
    ):
        pass


def test_an_app_that_must_have_a_lifespan_may_raise_in_it() -> None:
    with pytest.raises(LookupError, match="key"), serve(lifespan_app(error=LookupError("key")), lifespan="on"):
        pass


def test_an_app_without_a_lifespan_is_served() -> None:
    with serve(lifespan_app(error=NotImplementedError())) as server:
        assert get(server) == b"hello"


def test_what_the_app_raises_in_its_shutdown_is_raised() -> None:
    failed = {"type": "lifespan.shutdown.failed", "message": ""}
    app = lifespan_app(COMPLETE, failed, error=OSError("flush failed"))
    with pytest.raises(OSError, match="flush failed"), serve(app):
        pass


def test_an_error_of_the_body_comes_before_one_of_the_end() -> None:
    failed = {"type": "lifespan.shutdown.failed", "message": "late"}
    with pytest.raises(ZeroDivisionError), serve(lifespan_app(COMPLETE, failed)):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("no_such_module:app", 'cannot load the application: Could not import module "no_such_module".'),
        ("tests.apps:no_such", 'cannot load the application: Attribute "no_such" not found in module "tests.apps".'),
        ("tests.apps", 'cannot load the application: Import string "tests.apps" must be in format'),
    ],
)
def test_an_app_that_cannot_be_imported_is_named(app: str, reason: str) -> None:
    with pytest.raises(ServerFailed) as raised, serve(app):
        pass
    assert str(raised.value).startswith(reason)


def test_a_port_in_use_is_named() -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reason = rf"did not start: .*{port}.*address already in use"
        with pytest.raises(ServerFailed, match=reason), serve(hello, port=port):
            pass
    assert threading.active_count() == before


def test_an_option_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="70000"), serve(hello, port=70_000):
        pass
    with pytest.raises(TypeError, match="no_such"), serve(hello, no_such=1):
        pass


def test_a_start_that_takes_too_long_is_an_error_and_leaves_no_thread() -> None:
    before = threading.active_count()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with (
        pytest.raises(TimeoutError, match=r"^the server did not start within 0\.2 s: the application's start-up"),
        serve(app, timeout=0.2),
    ):
        pass
    assert threading.active_count() == before


def test_an_end_that_takes_too_long_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        await asyncio.Event().wait()

    reason = r"within 1 s: 0 connections and 0 requests are open$"
    with pytest.raises(TimeoutError, match=reason), serve(app, timeout=1, timeout_graceful_shutdown=None):
        pass


def test_requests_that_run_at_the_end_are_cancelled_after_the_timeout() -> None:
    begun, ends = threading.Event(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    with serve(app, lifespan="off", timeout=1) as server:
        client = raw.Client(port=server.port)
        client.send(raw.request())
        assert begun.wait(5)
    assert ends == ["cancelled"]
    assert client.response().status == 500
    client.close()


def test_a_server_that_ended_by_itself_is_no_error() -> None:
    with serve(hello, limit_max_requests=1) as server:
        assert get(server) == b"hello"


def test_an_exit_in_the_event_loop_is_told() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().call_soon(sys.exit, "enough")

    with (
        pytest.raises(ServerFailed, match="ended by an exit: enough"),
        serve(app, lifespan="off") as server,
        raw.Client(port=server.port) as client,
    ):
        client.send(raw.request())
        client.wait_closed()


# What is left alone.


def test_logging_and_signals_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    caplog.set_level(logging.INFO)
    with serve(hello):
        assert [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers] == before
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert any("Bicorn running on" in message for message in caplog.messages)


def test_it_may_be_used_in_a_running_event_loop() -> None:
    async def main() -> bytes:
        with serve(hello) as server:
            async with httpx.AsyncClient() as client:
                return (await client.get(server.url)).content

    assert asyncio.run(main()) == b"hello"


def test_a_stream_may_be_left_open_by_the_client() -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"part", more=True))
        event = await receive()
        while event["type"] != "http.disconnect":
            event = await receive()
        gate.open()

    with serve(app, lifespan="off") as server:
        with httpx.stream("GET", server.url) as response:
            assert next(response.iter_raw()) == b"part"
        asyncio.run(gate.wait())


# The plugin.


def test_the_plugin_costs_nothing_until_the_fixture_is_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import bicorn.pytest_plugin; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"bicorn", "bicorn.main", "bicorn.constants", "bicorn.pytest_plugin"}

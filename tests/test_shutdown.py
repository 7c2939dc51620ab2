"""Graceful shutdown: nothing in flight is lost, nothing idle is waited for, and a limit is a limit."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from queue import SimpleQueue

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, Switch, body, hello, length, read_body, start
from tests.conftest import Serve, ServeProcess

pytestmark = pytest.mark.parity


class Held:
    """An app that says when it has a request, and answers when the gate opens."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.started: SimpleQueue[str] = SimpleQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started.put(scope["path"])
        await self.gate.wait()
        await hello(scope, receive, send)


def test_request_in_flight_is_answered_and_then_closed(serve: Serve) -> None:
    app = Held()
    with serve(app) as server, server.connect() as client:
        client.send(raw.request())
        app.started.get(timeout=5)
        server.stop()
        server.logs.wait_for("Waiting for connections to close. (CTRL+C to force quit)")
        app.gate.open()
        response = client.response()
        assert (response.status, response.body) == (200, b"hello")
        assert response.header(b"connection") == b"close"
        assert client.wait_closed() == b""
        server.join()


def test_response_that_has_started_is_completed(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await gate.wait()
        await send(body(b"last"))

    with serve(app) as server, server.connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        gate.open()
        assert client.wait_closed() == b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n"
        server.join()


def test_upload_in_flight_is_read_to_its_end(serve: Serve) -> None:
    started: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.put(None)
        data = await read_body(receive)
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve(app) as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"first")
        started.get(timeout=5)
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        client.send(b"other")
        assert client.response().body == b"firstother"
        server.join()


def test_idle_connections_are_closed_at_once(serve: Serve) -> None:
    with serve(hello) as server, server.connect() as used, server.connect() as fresh:
        used.exchange(raw.request())
        since = time.monotonic()
        server.stop()
        assert used.wait_closed(1) == b""
        assert fresh.wait_closed(1) == b""
        server.join()
        assert time.monotonic() - since < 2
        assert not any("Waiting for" in message for message in server.logs.messages)


def test_new_connections_are_refused_while_draining(serve: Serve) -> None:
    app = Held()
    with serve(app) as server, server.connect() as client:
        client.send(raw.request())
        app.started.get(timeout=5)
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        with pytest.raises(ConnectionRefusedError):
            server.connect().close()
        app.gate.open()
        assert client.response().body == b"hello"
        server.join()


def test_request_pipelined_behind_the_last_one_is_not_lost_silently(serve: Serve) -> None:
    app = Held()
    with serve(app) as server, server.connect() as client:
        client.send(raw.request(target="/one") + raw.request(target="/two"))
        app.started.get(timeout=5)
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        app.gate.open()
        # Either the first answer says that it is the last, so that the client can ask again, or both are given.
        if not client.response().closes:
            assert client.response().closes
        assert client.wait_closed() == b""
        server.join()


def test_order_of_the_lines(serve: Serve) -> None:
    app = Held()
    with serve(app) as server, server.connect() as client:
        client.send(raw.request())
        app.started.get(timeout=5)
        server.logs.clear()
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        app.gate.open()
        client.response()
        server.join()
        assert [message.split(" [")[0] for message in server.logs.messages] == [
            "Shutting down",
            "Waiting for connections to close. (CTRL+C to force quit)",
            "Finished server process",
        ]


def test_background_work_is_waited_for(serve: Serve) -> None:
    gate = Gate()
    finished: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await gate.wait()
        finished.put(None)

    with serve(app) as server, server.connect() as client:
        client.exchange(raw.request())
        client.close()
        server.logs.clear()
        server.stop()
        server.logs.wait_for("Waiting for background tasks to complete. (CTRL+C to force quit)")
        gate.open()
        finished.get(timeout=5)
        server.join()


def test_timeout_cancels_what_is_left_and_answers_500(serve: Serve) -> None:
    errors: SimpleQueue[BaseException] = SimpleQueue()
    started: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.put(None)
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            errors.put(error)
            raise

    with serve(app, timeout_graceful_shutdown=1) as server, server.connect() as client:
        client.send(raw.request())
        started.get(timeout=5)
        since = time.monotonic()
        server.stop()
        response = client.response()
        elapsed = time.monotonic() - since
        assert (response.status, response.body) == (500, b"Internal Server Error")
        server.join()
    assert 0.9 < elapsed < 2.5
    error = errors.get(timeout=5)
    assert isinstance(error, asyncio.CancelledError)
    assert error.args == ("Task cancelled, timeout graceful shutdown exceeded",)
    record = server.logs.wait_for("Cancel 1 running task(s), timeout graceful shutdown exceeded")
    assert record.levelname == "ERROR"


def test_lifespan_shutdown_comes_after_the_last_answer(serve: Serve) -> None:
    order: list[str] = []
    gate = Gate()
    started: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            order.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        started.put(None)
        await gate.wait()
        await hello(scope, receive, send)
        order.append("answer")

    with serve(app, lifespan="on") as server, server.connect() as client:
        client.send(raw.request())
        started.get(timeout=5)
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        gate.open()
        assert client.response().status == 200
        server.join()
    assert order == ["answer", "shutdown"]


def test_many_connections_in_flight_lose_nothing(serve: Serve) -> None:
    app = Held()
    with serve(app) as server:
        clients = [server.connect() for _ in range(50)]
        try:
            for client in clients:
                client.send(raw.request())
            for _ in clients:
                app.started.get(timeout=5)
            server.stop()
            server.logs.wait_for("Waiting for connections to close.")
            app.gate.open()
            assert [client.response().body for client in clients] == [b"hello"] * 50
        finally:
            for client in clients:
                client.close()
        server.join()


def test_the_thread_can_serve_again(serve: Serve) -> None:
    app = Switch()
    app.app = hello
    before = threading.active_count()
    for _ in range(3):
        with serve(app) as server, server.connect() as client:
            assert client.exchange(raw.request()).body == b"hello"
    assert threading.active_count() <= before


def test_sigterm_answers_what_is_in_flight(serve_process: ServeProcess) -> None:
    with serve_process("tests.fault_apps:held") as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "1")]))
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.wait_for("request begun")
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("Waiting for connections to close.")
        client.send(b"x")
        response = client.response()
        assert (response.body, response.header(b"connection")) == (b"hello", b"close")
        assert server.wait() == -signal.SIGTERM


def test_second_sigint_ends_at_once(serve_process: ServeProcess) -> None:
    with serve_process("tests.fault_apps:held") as server, server.connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "1")]))
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.wait_for("request begun")
        server.signal(signal.SIGINT)
        server.stderr.wait_for("Waiting for connections to close.")
        since = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert time.monotonic() - since < 2
        client.wait_closed()

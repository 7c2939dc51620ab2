"""Requests as tasks of the event loop: who may cancel them, what they may do at once, what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from queue import SimpleQueue
from typing import Any

import pytest

from tests import raw
from tests.apps import Event, Gate, Receive, Scope, Send, body, hello, length, read_body, start, turn_loop
from tests.conftest import Serve, ServeShared

pytestmark = pytest.mark.parity


def test_task_is_not_cancelled_when_the_peer_leaves(serve_shared: ServeShared) -> None:
    outcome: SimpleQueue[str] = SimpleQueue()
    started: SimpleQueue[None] = SimpleQueue()
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.put(None)
        try:
            await gate.wait()
        except BaseException as error:
            outcome.put(repr(error))
            raise
        await hello(scope, receive, send)
        outcome.put("completed")

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        started.get(timeout=5)
        client.reset()
    # A whole exchange later the server must have seen the reset.
    with server.connect() as client:
        client.send(raw.request())
        started.get(timeout=5)
        gate.open()
        assert client.response().body == b"hello"
    assert [outcome.get(timeout=5), outcome.get(timeout=5)] == ["completed"] * 2


def test_app_that_cancels_itself_is_500_and_the_server_goes_on(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        await hello(scope, receive, send)

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request(target="/cancel")).status == 500
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
    record = server.logs.wait_for("Exception in ASGI application")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], asyncio.CancelledError)


def test_receive_may_wait_in_another_task(serve_shared: ServeShared) -> None:
    # Starlette listens for the disconnect beside the stream.
    received: SimpleQueue[Event] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)

        async def listen() -> None:
            received.put(await receive())

        task = asyncio.create_task(listen())
        await send(start())
        for _ in range(5):
            await send(body(b"piece", more=True))
            await asyncio.sleep(0)
        await send(body())
        await task

    with serve_shared(app).connect() as client:
        for _ in range(3):
            assert client.exchange(raw.request()).body == b"piece" * 5
            assert received.get(timeout=5) == {"type": "http.disconnect"}


def test_two_waiting_receives_both_get_the_disconnect(serve_shared: ServeShared) -> None:
    received: SimpleQueue[Event] = SimpleQueue()
    waiting: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)

        async def listen() -> None:
            received.put(await receive())

        tasks = [asyncio.create_task(listen()) for _ in range(2)]
        await turn_loop()
        waiting.put(None)
        await asyncio.gather(*tasks)

    with serve_shared(app).connect() as client:
        client.send(raw.request())
        waiting.get(timeout=5)
        client.close()
        assert [received.get(timeout=5), received.get(timeout=5)] == [{"type": "http.disconnect"}] * 2


def test_task_factory_of_the_app_makes_the_apps_tasks(serve: Serve) -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine.__qualname__.rpartition(".")[2])
        return asyncio.Task(coroutine, loop=loop, **options)

    async def own_task() -> None:
        await asyncio.sleep(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        await asyncio.create_task(own_task())
        await hello(scope, receive, send)

    with serve(app) as server, server.connect() as client:
        for _ in range(3):
            assert client.exchange(raw.request()).body == b"hello"
    assert made.count("own_task") == 3


def test_cancelled_receive_loses_nothing(serve_shared: ServeShared) -> None:
    cancelled: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            try:
                await asyncio.wait_for(receive(), 0.01)
            except asyncio.TimeoutError:
                continue
        cancelled.put(None)
        data = await read_body(receive)
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve_shared(app).connect() as client:
        client.send(raw.request("POST", headers=[("Content-Length", "5")]))
        cancelled.get(timeout=5)
        client.send(b"hello")
        assert client.response().body == b"hello"


def test_cancelled_send_leaves_the_server_whole(serve_shared: ServeShared) -> None:
    outcome: SimpleQueue[str] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/stall":
            await hello(scope, receive, send)
            return

        async def stream() -> None:
            while True:
                await send(body(b"x" * 64 * 1024, more=True))

        await send(start())
        try:
            await asyncio.wait_for(stream(), 0.2)
        except asyncio.TimeoutError:
            outcome.put("timed out")

    server = serve_shared(app)
    with server.connect(receive_buffer=4096) as client:
        client.send(raw.request(target="/stall"))
        assert outcome.get(timeout=5) == "timed out"
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


def test_sends_of_two_tasks_are_both_written_whole(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def stream(letter: bytes) -> None:
            for _ in range(100):
                await send(body(letter * 100, more=True))
                await asyncio.sleep(0)

        await send(start())
        await asyncio.gather(stream(b"a"), stream(b"b"))
        await send(body())

    with serve_shared(app).connect() as client:
        response = client.exchange(raw.request())
    assert response.chunk_sizes == [100] * 200
    pieces = {response.body[at : at + 100] for at in range(0, len(response.body), 100)}
    assert pieces == {b"a" * 100, b"b" * 100}


def test_app_may_complete_from_a_task_that_outlives_it(serve_shared: ServeShared) -> None:
    # The app returned without completing, so the exchange has ended: what comes later changes nothing.
    late: SimpleQueue[Any] = SimpleQueue()
    keep: set[asyncio.Task[None]] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/late":
            await hello(scope, receive, send)
            return

        async def complete() -> None:
            await turn_loop(50)
            try:
                await send(body(b"late"))
            except Exception as error:
                late.put(error)
            late.put(None)

        await send(start(200, [(b"content-length", b"4")]))
        keep.add(asyncio.create_task(complete()))

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request(target="/late"))
        late.get(timeout=5)
        client.wait_closed()
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


def test_send_and_receive_may_be_wrapped_in_tasks(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        event = await asyncio.ensure_future(receive())
        await asyncio.wait_for(asyncio.shield(send(start(200, [length(event["body"])]))), 5)
        assert list(await asyncio.gather(send(body(event["body"])), asyncio.sleep(0))) == [None, None]

    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request("POST", body=b"hello")).body == b"hello"


def test_no_task_is_left_after_the_answers(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        data = str(len(asyncio.all_tasks())).encode()
        await send(start(200, [length(data)]))
        await send(body(data))

    with serve(app) as server:
        with server.connect() as client:
            first = client.exchange(raw.request()).body
            for _ in range(100):
                client.exchange(raw.request())
        with server.connect() as client:
            assert client.exchange(raw.request()).body == first


def test_nothing_of_a_request_outlives_it(serve_shared: ServeShared, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps the records that reach the root logger, and with them the tracebacks.
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "propagate", False)

    class Marker:
        pass

    markers: list[weakref.ref[Marker]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        marker = Marker()
        scope["marker"] = marker
        markers.append(weakref.ref(marker))
        if scope["path"] == "/raise":
            raise ValueError("as asked")
        await read_body(receive)
        await hello(scope, receive, send)

    server = serve_shared(app)
    for target in ("/", "/raise", "/", "/raise"):
        with server.connect() as client:
            client.exchange(raw.request("POST", target, body=b"hello"))
            if target == "/raise":
                client.wait_closed()
    # The last request may still be held by its connection until another comes.
    serve_shared(hello)
    server.logs.clear()
    with server.connect() as client:
        client.exchange(raw.request())
    gc.collect()
    assert [marker() for marker in markers] == [None] * 4


def test_server_counts_requests_connections_and_tasks(serve: Serve) -> None:
    gate = Gate()
    started: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            started.put(None)
            await gate.wait()
        await hello(scope, receive, send)

    with serve(app) as server, server.connect() as idle, server.connect() as busy:
        state = server.server.server_state
        idle.exchange(raw.request())
        busy.send(raw.request(target="/wait"))
        started.get(timeout=5)
        assert (state.total_requests, len(state.connections), len(state.tasks)) == (1, 2, 1)
        gate.open()
        busy.response()


def test_blocking_app_delays_the_others_but_loses_none(serve_shared: ServeShared) -> None:
    release = threading.Event()
    blocked: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/block":
            blocked.put(None)
            release.wait(5)
        await hello(scope, receive, send)

    server = serve_shared(app)
    with server.connect() as blocking:
        blocking.send(raw.request(target="/block"))
        blocked.get(timeout=5)
        clients = [server.connect() for _ in range(20)]
        try:
            for client in clients:
                client.send(raw.request())
            release.set()
            assert [client.response().body for client in clients] == [b"hello"] * 20
        finally:
            for client in clients:
                client.close()
        assert blocking.response().body == b"hello"


def test_a_thousand_requests_at_once(serve_shared: ServeShared) -> None:
    gate = Gate()
    waiting: SimpleQueue[None] = SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.put(None)
        await gate.wait()
        await hello(scope, receive, send)

    server = serve_shared(app)
    clients = [server.connect() for _ in range(1000)]
    try:
        for client in clients:
            client.send(raw.request())
        for _ in clients:
            waiting.get(timeout=5)
        gate.open()
        assert all(client.response().body == b"hello" for client in clients)
    finally:
        for client in clients:
            client.close()

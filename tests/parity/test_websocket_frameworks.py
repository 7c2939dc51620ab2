"""Starlette's and FastAPI's WebSockets through the `websockets` client: what users have."""

from __future__ import annotations

from contextlib import suppress
from queue import SimpleQueue
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.conftest import ServeShared


class Rooms(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="chat", headers=[(b"x-room", b"1")])
        await websocket.send_text("welcome")

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json({"got": data})

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        websocket.scope["state"]["left"].append(close_code)


def make_api(left: SimpleQueue[Any]) -> FastAPI:
    api = FastAPI()

    @api.websocket("/echo")
    async def echo(websocket: WebSocket, name: str = "nobody") -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(f"{name}: {await websocket.receive_text()}")
        except WebSocketDisconnect as end:
            left.put((end.code, end.reason))

    @api.websocket("/bytes")
    async def echo_bytes(websocket: WebSocket) -> None:
        await websocket.accept()
        async for data in websocket.iter_bytes():
            await websocket.send_bytes(data[::-1])
        left.put("done")

    async def nobody_may(websocket: WebSocket) -> str:
        raise WebSocketException(4001, "not you")

    @api.websocket("/forbidden")
    async def forbidden(websocket: WebSocket, user: Annotated[str, Depends(nobody_may)]) -> None: ...

    @api.websocket("/deny")
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("pay first", 402, {"x-price": "1"}))

    @api.websocket("/late")
    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await websocket.receive_text()
        try:
            await websocket.send_text("too late")
        except WebSocketDisconnect as end:
            left.put(end.code)

    @api.websocket("/close")
    async def close(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4003, "enough")

    return api


def dial(server: Any, path: str, **options: Any) -> ClientConnection:
    return connect(f"ws://{server.host}:{server.port}{path}", proxy=None, **options)


@pytest.fixture
def left() -> SimpleQueue[Any]:
    """What the app noted when a client left."""
    return SimpleQueue()


def test_fastapi_echo(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with dial(server, "/echo?name=ann") as socket:
        for text in ("one", "ü" * 1000, "x" * 100_000):
            socket.send(text)
            assert socket.recv(timeout=5) == f"ann: {text}"
        socket.close(4010, "done")
    assert left.get(timeout=5) == (4010, "done")


def test_fastapi_bytes(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with dial(server, "/bytes", compression=None) as socket:
        socket.send(b"abc")
        assert socket.recv(timeout=5) == b"cba"
    assert left.get(timeout=5) == "done"


def test_fastapi_dependency_that_refuses_is_403(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with pytest.raises(InvalidStatus) as refusal:
        dial(server, "/forbidden")
    assert refusal.value.response.status_code == 403


def test_unknown_path_is_403(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with pytest.raises(InvalidStatus) as refusal:
        dial(server, "/nowhere")
    assert refusal.value.response.status_code == 403


def test_denial_response(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with pytest.raises(InvalidStatus) as refusal:
        dial(server, "/deny")
    response = refusal.value.response
    assert (response.status_code, response.body, response.headers["x-price"]) == (402, b"pay first", "1")


def test_a_late_send_is_a_disconnect_to_starlette(left: SimpleQueue[Any], serve_shared: ServeShared) -> None:
    server = serve_shared(make_api(left))
    with dial(server, "/late"):
        pass
    server.logs.wait_for("connection open")
    with dial(server, "/close") as socket, pytest.raises(ConnectionClosed) as end:
        socket.recv(timeout=5)
    assert end.value.rcvd is not None
    assert (end.value.rcvd.code, end.value.rcvd.reason) == (4003, "enough")
    assert left.get(timeout=5) == 1006


def test_starlette_endpoint_behind_middleware(serve_shared: ServeShared) -> None:
    closed: list[int] = []

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["left"] = closed
        await app(scope, receive, send)

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=dispatch)]
    app = Starlette(routes=[WebSocketRoute("/rooms", Rooms)], middleware=middleware)
    server = serve_shared(with_state)
    with dial(server, "/rooms", subprotocols=["chat"]) as socket:
        assert socket.subprotocol == "chat"
        assert socket.response is not None
        assert socket.response.headers["x-room"] == "1"
        assert socket.recv(timeout=5) == "welcome"
        socket.send('{"a": [1, 2]}')
        assert socket.recv(timeout=5) == '{"got":{"a":[1,2]}}'
        socket.send("no json")
        with pytest.raises(ConnectionClosed) as end:
            socket.recv(timeout=5)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1003

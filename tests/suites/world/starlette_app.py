"""Starlette with its own middleware and one by BaseHTTPMiddleware, sessions, static files, endpoints as classes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

STATIC = Path(__file__).parent / "static"
tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


class TenantMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        token = tenant.set(request.headers.get("x-tenant", "nobody"))
        try:
            response = await call_next(request)
        finally:
            tenant.reset(token)
        response.headers["x-seen-by"] = "dispatch"
        return response


def who_sync(request: Request) -> PlainTextResponse:
    return PlainTextResponse(tenant.get())


async def who(request: Request) -> PlainTextResponse:
    await asyncio.sleep(0)
    return PlainTextResponse(tenant.get())


def visits(request: Request) -> JSONResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse(dict(request.session))


async def leave(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse({})


def long_text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("all the same " * 10_000)


async def long_stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(200):
            yield f"part {number}, " * 20
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/plain")


async def count_bytes(request: Request) -> Response:
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
    except ClientDisconnect:
        request.app.state.journal.append("the client left while it sent")
    return JSONResponse({"size": size})


async def journal(request: Request) -> JSONResponse:
    entries = list(request.app.state.journal)
    request.app.state.journal.clear()
    return JSONResponse(entries)


async def later(request: Request) -> Response:
    task = BackgroundTask(request.app.state.journal.append, "done later")
    return Response(status_code=202, background=task)


async def teapot(request: Request) -> Response:
    raise HTTPException(418, "short and stout", headers={"x-pot": "tea"})


def on_missing(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"missing": request.url.path}, 404)


class Thing(HTTPEndpoint):
    async def get(self, request: Request) -> JSONResponse:
        return JSONResponse({"thing": request.path_params["name"], "query": request.query_params.multi_items()})

    def delete(self, request: Request) -> Response:
        return Response(status_code=204)


class Echo(WebSocketEndpoint):
    encoding = "bytes"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-accepted", b"yes")])

    async def on_receive(self, websocket: WebSocket, data: bytes) -> None:
        await websocket.send_bytes(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        websocket.app.state.journal.append(f"echo closed with {close_code}")


async def counted(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json({"sum": sum(message)})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.journal = []
    yield
    print("the lights are off", flush=True)


app = Starlette(
    lifespan=lifespan,
    exception_handlers={404: on_missing},
    middleware=[
        Middleware(SessionMiddleware, secret_key="secret", max_age=3600),
        Middleware(GZipMiddleware, minimum_size=500),
        Middleware(TenantMiddleware),
    ],
    routes=[
        Route("/who", who),
        Route("/who/sync", who_sync),
        Route("/visits", visits),
        Route("/leave", leave),
        Route("/long", long_text),
        Route("/long/stream", long_stream),
        Route("/size", count_bytes, methods=["POST"]),
        Route("/journal", journal),
        Route("/later", later, methods=["POST"]),
        Route("/teapot", teapot),
        Route("/things/{name:path}", Thing),
        WebSocketRoute("/echo", Echo),
        WebSocketRoute("/sum", counted),
        Mount("/static", StaticFiles(directory=STATIC, html=True), name="static"),
    ],
)

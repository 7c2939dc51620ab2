"""FastAPI and Starlette with Sentry's integrations, which patch both, and a plain application in its ASGI middleware.

What would be sent to Sentry is kept in memory; `/sent` gives it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import sentry_sdk
from fastapi import Depends, FastAPI
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Memory(Transport):
    """Keeps what would be sent: errors and messages as "event", spans of requests as "transaction"."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.sent: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            if item.payload.json is not None:
                self.sent.append(json.loads(item.payload.get_bytes()))


memory = Memory()
sentry_sdk.init(
    dsn="https://key@sentry.example/1",
    transport=memory,
    traces_sample_rate=1.0,
    send_default_pii=True,
    # Else it imports every framework of the environment, to patch it.
    auto_enabling_integrations=False,
    integrations=[StarletteIntegration(), FastApiIntegration()],
)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)

# So many requests are inside their endpoints at once before one of them goes on.
TOGETHER = 8
threads = threading.Barrier(TOGETHER, timeout=10)
tasks = asyncio.Barrier(TOGETHER)


def begin(name: str) -> None:
    sentry_sdk.set_tag("name", name)
    sentry_sdk.set_user({"id": name})
    logger.info("begin %s", name)


def finish(name: str) -> dict[str, str]:
    logger.info("finish %s", name)
    sentry_sdk.capture_message(f"message of {name}")
    return {"name": name}


def sync_dependency(name: str) -> str:
    sentry_sdk.set_tag("dependency", name)
    return name


app = FastAPI()


@app.get("/sync/{name}")
def sync_endpoint(name: str, same: str = Depends(sync_dependency)) -> dict[str, str]:
    begin(name)
    threads.wait()
    return finish(same)


@app.get("/async/{name}")
async def async_endpoint(name: str, same: str = Depends(sync_dependency)) -> dict[str, str]:
    begin(name)
    await tasks.wait()
    return finish(same)


@app.get("/sync/{name}/broken")
def broken(name: str, same: str = Depends(sync_dependency)) -> None:
    begin(name)
    threads.wait()
    raise RuntimeError(f"message of {name}")


@app.get("/async/{name}/broken")
async def async_broken(name: str, same: str = Depends(sync_dependency)) -> None:
    begin(name)
    await tasks.wait()
    raise RuntimeError(f"message of {name}")


def left_behind() -> dict[str, Any]:
    scope = sentry_sdk.get_isolation_scope()
    return {"tags": scope._tags, "user": scope._user}


@app.get("/left")
def left() -> dict[str, Any]:
    return left_behind()


@app.get("/left/async")
async def left_async() -> dict[str, Any]:
    return left_behind()


@app.get("/sent")
def sent() -> list[dict[str, Any]]:
    memory.sent, events = [], memory.sent
    return events


async def starlette_async(request: Request) -> JSONResponse:
    name = request.path_params["name"]
    begin(name)
    await tasks.wait()
    return JSONResponse(finish(name))


def starlette_sync(request: Request) -> JSONResponse:
    name = request.path_params["name"]
    begin(name)
    threads.wait()
    return JSONResponse(finish(name))


async def starlette_left(request: Request) -> JSONResponse:
    return JSONResponse(left_behind())


def starlette_left_sync(request: Request) -> JSONResponse:
    return JSONResponse(left_behind())


async def starlette_sent(request: Request) -> JSONResponse:
    return JSONResponse(sent())


starlette_app = Starlette(
    routes=[
        Route("/async/{name}", starlette_async),
        Route("/sync/{name}", starlette_sync),
        Route("/left", starlette_left_sync),
        Route("/left/async", starlette_left),
        Route("/sent", starlette_sent),
    ]
)


async def plain(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/sent":
        content: Any = sent()
    elif path.startswith("/left"):
        content = left_behind()
    else:
        name = path.rpartition("/")[2]
        begin(name)
        await tasks.wait()
        content = finish(name)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


asgi_app = SentryAsgiMiddleware(plain)

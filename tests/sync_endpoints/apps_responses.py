"""FastAPI and Starlette: every way to answer."""

import datetime
import decimal
import enum
import functools
import importlib.util
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    ORJSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.sync_endpoints.families import Case, Family, as_async, both, both_routes, note

router = APIRouter()
FILE = Path(__file__)


class Stored(BaseModel):
    """What is kept."""

    name: str
    secret: str = "s3cret"
    price: float | None = None


class Public(BaseModel):
    """What is told."""

    name: str
    price: float | None = None


class Level(enum.IntEnum):
    """A number with a name."""

    HIGH = 3


@dataclass
class Point:
    """A dataclass as an answer."""

    x: int
    y: float


class Shouting(PlainTextResponse):
    """A response with a `render` of its own."""

    def render(self, content: Any) -> bytes:
        note("render")
        return str(content).upper().encode()


class Pretty(JSONResponse):
    """A subclass with headers of its own and no method."""

    media_type = "application/vnd.pretty+json"


class Loud(Response):
    """A response with a `__call__` of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note("loud", scope["path"])
        headers = [(b"x-loud", b"yes"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 203, "headers": headers})
        await send({"type": "http.response.body", "body": b"lo", "more_body": True})
        await send({"type": "http.response.body", "body": b"ud"})


VALUES: dict[str, Any] = {
    "dict": {"a": 1, "é": [1.5, None, True]},
    "list": [1, "two", {"three": 3}],
    "none": None,
    "text": "text",
    "number": 5,
    "model": Stored(name="n"),
    "models": [Stored(name="a"), Stored(name="b", price=1)],
    "dataclass": Point(1, 2.5),
    "types": {
        "date": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
        "decimal": decimal.Decimal("1.10"),
        "uuid": uuid.UUID(int=5),
        "level": Level.HIGH,
        "set": {1},
        "bytes": b"bytes",
        "path": Path("/a/b"),
        "nan": 1.0,
    },
    "big": {"text": "x" * 300_000},
    "empty": {},
}


@both(router, "/value/{name}", response_model=None)
def value(name: str) -> Any:
    return VALUES[name]


@both(router, "/response-model", response_model=Public)
def response_model() -> Any:
    return Stored(name="n", price=2)


@both(router, "/annotated")
def annotated() -> Public:
    return Public(name="n")


@both(router, "/excluded", response_model=Stored, response_model_exclude={"secret"}, response_model_exclude_none=True)
def excluded() -> Any:
    return {"name": "n"}


@both(router, "/models", response_model=list[Public], status_code=201)
def models() -> Any:
    return [Stored(name="a"), {"name": "b"}]


@both(router, "/no-content", status_code=204)
def no_content() -> None:
    note("no content")


@both(router, "/teapot", status_code=418, response_class=PlainTextResponse)
def teapot() -> str:
    return "short and stout"


@both(router, "/html", response_class=HTMLResponse)
def html() -> str:
    return "<p>é</p>"


@both(router, "/redirect-class", response_class=RedirectResponse, status_code=303)
def redirect_class() -> str:
    return "/else where"


@both(router, "/pretty", response_class=Pretty)
def pretty() -> Any:
    return {"a": 1}


def pieces() -> Iterator[bytes]:
    for number in range(3):
        note("piece", number)
        yield b"%d," % number


async def pieces_async() -> AsyncIterator[str]:
    for number in range(3):
        note("piece", number)
        yield f"{number},"


def with_cookies() -> Response:
    response = JSONResponse({"a": 1}, headers={"X-One": "1"})
    response.set_cookie("a", "b c", max_age=3, path="/x", secure=True, samesite="strict")
    response.delete_cookie("gone")
    response.headers.append("x-two", "2")
    response.headers.append("x-two", "3")
    return response


def with_tasks() -> Response:
    tasks = BackgroundTasks()
    tasks.add_task(note, "one")
    tasks.add_task(as_async(note), "two")
    tasks.add_task(note, "three")
    return PlainTextResponse("sent", background=tasks)


RESPONSES = {
    "response": lambda: Response(b"\x00\xff", 202, {"X-A": "1"}, "application/x-binary"),
    "response-empty": Response,
    "response-204": lambda: Response(status_code=204),
    "response-304": lambda: Response(status_code=304, headers={"ETag": '"x"'}),
    "response-close": lambda: Response("x", headers={"Connection": "close"}),
    "response-memoryview": lambda: Response(memoryview(b"view")),
    "json": lambda: JSONResponse({"a": [1, 2]}),
    "plain": lambda: PlainTextResponse("é"),
    "html": lambda: HTMLResponse("<p>é</p>"),
    "redirect": lambda: RedirectResponse("/é?a=b c", headers={"X-A": "1"}),
    "cookies": with_cookies,
    "stream": lambda: StreamingResponse(pieces(), 206, {"X-A": "1"}, "text/plain"),
    "stream-async": lambda: StreamingResponse(pieces_async()),
    "stream-length": lambda: StreamingResponse(pieces(), headers={"Content-Length": "6"}),
    "stream-task": lambda: StreamingResponse(pieces(), background=BackgroundTask(note, "after the stream")),
    "stream-big": lambda: StreamingResponse(b"x" * 50_000 for _ in range(20)),
    "file": lambda: FileResponse(FILE, filename="é.py"),
    "file-task": lambda: FileResponse(FILE, background=BackgroundTask(note, "after the file")),
    "file-missing": lambda: FileResponse(FILE.parent / "missing"),
    "shouting": lambda: Shouting("text"),
    "pretty": lambda: Pretty({"a": 1}, 203),
    "loud": lambda: Loud("ignored"),
    "task": lambda: PlainTextResponse("sent", background=BackgroundTask(note, "task", 1)),
    "task-async": lambda: PlainTextResponse("sent", background=BackgroundTask(as_async(note), "task", 1)),
    "tasks": with_tasks,
    "partial": functools.partial(PlainTextResponse, "partial"),
}
if importlib.util.find_spec("orjson"):
    RESPONSES["orjson"] = lambda: ORJSONResponse({"a": [1, 2]})


@both(router, "/made/{name}", methods=["GET", "HEAD"], response_class=Response)
def made(name: str) -> Any:
    return RESPONSES[name]()


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def starlette_made(request: Request) -> Response:
    return RESPONSES[request.path_params["name"]]()


def starlette_app_as_response(request: Request) -> Any:
    """An ASGI app is a response, too."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        note("app as response")
        await PlainTextResponse("by an app")(scope, receive, send)

    return app


def make_starlette() -> Starlette:
    return Starlette(
        routes=[*both_routes("/made/{name}", starlette_made), *both_routes("/app", starlette_app_as_response)]
    )


MADE = [Case(f"/made/{name}") for name in RESPONSES]
HEADS = [Case(f"/made/{name}", "HEAD") for name in ("response", "json", "stream", "file", "loud", "tasks", "shouting")]
RANGES = [
    Case("/made/file", headers=(("Range", value),), label=value)
    for value in ("bytes=0-9", "bytes=-5", "bytes=999999-", "bytes=5-1", "lines=1-2")
]
CASES = [
    *(Case(f"/value/{name}") for name in VALUES),
    *(Case(f"/{name}") for name in ("response-model", "annotated", "excluded", "models", "no-content", "teapot")),
    *(Case(f"/{name}") for name in ("html", "redirect-class", "pretty")),
    *MADE,
    *HEADS,
    *RANGES,
]

FAMILIES = [
    Family("responses", make_app, CASES),
    Family("Starlette responses", make_starlette, [*MADE, *HEADS, *RANGES, Case("/app")]),
]

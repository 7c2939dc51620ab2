"""FastAPI: endpoints for tests of what happens on a connection around them."""

import asyncio
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, FastAPI, Form, Request, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.sync_endpoints.families import KINDS, Family, both, note

router = APIRouter()
BIG_BYTES = 4 * 1024 * 1024


class Gates:
    """An event by name, which an endpoint waits for and a test sets; a new one after each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, threading.Event] = {}

    def get(self, name: str) -> threading.Event:
        """Return the event of that name."""
        with self._lock:
            return self._events.setdefault(name, threading.Event())

    def wait(self, name: str) -> None:
        """Wait until the test opens it."""
        note("waiting", name)
        if not self.get(name).wait(10):
            raise TimeoutError(name)
        with self._lock:
            self._events.pop(name, None)


gates = Gates()


@both(router, "/hello")
def hello(word: str = "hello") -> dict[str, str]:
    note("hello", word)
    return {"word": word}


@both(router, "/bytes", methods=["POST"])
def take_bytes(data: Annotated[Any, Body()]) -> dict[str, Any]:
    return {"type": type(data).__name__, "size": len(data), "sum": digest(data)}


@both(router, "/upload", methods=["POST"])
def upload(upload: UploadFile, word: Annotated[str, Form()] = "unset") -> dict[str, Any]:
    data = upload.file.read()
    return {"name": upload.filename, "size": len(data), "sum": digest(data), "word": word}


@both(router, "/ignores", methods=["POST"])
def ignores(request: Request) -> str:
    return request.headers.get("content-length", "unset")


@both(router, "/big")
def big(tasks: BackgroundTasks) -> PlainTextResponse:
    tasks.add_task(note, "task after the big answer")
    return PlainTextResponse("x" * BIG_BYTES)


@both(router, "/endless")
def endless() -> StreamingResponse:
    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 1024

    return StreamingResponse(pieces())


def digest(data: bytes) -> str:
    """Tell one content from another."""
    return hashlib.sha256(data).hexdigest()[:16]


def _later(tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "task")
    note("goes on")
    return "late"


def held(name: str, tasks: BackgroundTasks) -> str:
    """Wait in a thread of the pool, or of the lane."""
    gates.wait(name)
    return _later(tasks)


async def held_async(name: str, tasks: BackgroundTasks) -> str:
    """Wait in the loop."""
    await asyncio.get_running_loop().run_in_executor(None, functools.partial(gates.wait, name))
    return _later(tasks)


HELD: tuple[Callable[..., Any], ...] = (held, held_async)
for kind, endpoint in zip(KINDS, HELD, strict=True):
    router.add_api_route(f"/{kind}/held/{{name}}", endpoint)


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


FAMILY = Family("connections", make_app, [])

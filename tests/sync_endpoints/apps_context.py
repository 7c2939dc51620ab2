"""FastAPI and Starlette: context variables in all that runs for a request, its state, and unusual ways to end."""

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.sync_endpoints.families import Case, Family, as_async, both, both_routes, note

router = APIRouter()
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
other: contextvars.ContextVar[str] = contextvars.ContextVar("other", default="unset")


class Problem(Exception):
    """Handled by a function that looks at the context."""


def see(place: str) -> None:
    """Note the variables as they are here, and set them for whoever comes next."""
    note(place, variable.get(), other.get())
    variable.set(place)


# Context variables


def sync_dependency() -> str:
    see("sync dependency")
    return "value"


async def async_dependency() -> str:
    see("async dependency")
    return "value"


def yield_dependency() -> Iterator[str]:
    see("yield enter")
    try:
        yield "value"
    finally:
        see("yield exit")


async def async_yield_dependency() -> AsyncIterator[str]:
    see("async yield enter")
    yield "value"
    see("async yield exit")


def background() -> None:
    see("background")


DEPENDENCIES = {
    "none": lambda: None,
    "sync": sync_dependency,
    "async": async_dependency,
    "yield": yield_dependency,
    "async-yield": async_yield_dependency,
}


def add_routes(name: str, dependency: Any) -> None:
    """Add an endpoint with this dependency, which succeeds, fails or streams."""

    def endpoint(tasks: BackgroundTasks, value: Annotated[Any, Depends(dependency)], fail: bool = False) -> Any:
        see("endpoint")
        other.set("by the endpoint")
        tasks.add_task(background)
        tasks.add_task(as_async(background))
        tasks.add_task(background)
        if fail:
            raise Problem
        return "done"

    both(router, f"/variables/{name}")(endpoint)


for name, dependency in DEPENDENCIES.items():
    add_routes(name, dependency)


@both(router, "/variables/two")
def two(first: Annotated[str, Depends(sync_dependency)], second: Annotated[str, Depends(async_dependency)]) -> str:
    see("endpoint")
    return "done"


@both(router, "/variables/stream")
def stream() -> StreamingResponse:
    see("endpoint")

    def pieces() -> Iterator[str]:
        for number in range(3):
            see(f"piece {number}")
            yield "x"

    return StreamingResponse(pieces(), background=BackgroundTask(background))


@both(router, "/variables/token")
def token() -> str:
    reset = variable.set("for a moment")
    variable.reset(reset)
    return variable.get()


@both(router, "/variables/copy")
def copy() -> list[str]:
    return sorted(
        f"{key.name}={value}" for key, value in contextvars.copy_context().items() if key in (variable, other)
    )


def on_problem(request: Request, error: Problem) -> Response:
    see("handler")
    return PlainTextResponse("handled", 418)


# What ends a function in an unusual way


@both(router, "/raises/{name}")
def raises(name: str) -> Any:
    if name == "exit":
        sys.exit(3)
    if name == "interrupt":
        raise KeyboardInterrupt
    if name == "cancelled":
        raise asyncio.CancelledError("by the endpoint")
    if name == "base":
        raise BaseException("base")
    raise StopIteration(5)


@both(router, "/raises-in-task/{name}")
def raises_in_task(name: str, tasks: BackgroundTasks) -> Any:
    tasks.add_task(raises, name)
    return "sent"


@both(router, "/slow")
def slow() -> str:
    # Longer than any server watches a function before it thinks of it as blocking.
    time.sleep(0.02)
    return "slow"


# The request


@both(router, "/state")
def state(request: Request) -> dict[str, Any]:
    request.state.mine = "set"
    keys = {key: getattr(request.state, key) for key in ("lifespan", "mine")}
    return {**keys, "app": request.app.state.word, "url": str(request.url_for("def_state")).rpartition("/def")[2]}


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    variable.set("lifespan")
    other.set("lifespan")
    app.state.word = "kept"
    note("lifespan", threading.current_thread().name)
    yield {"lifespan": "state"}


def make_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan, exception_handlers={Problem: on_problem})
    app.include_router(router)
    return app


def make_app_with_async_handler() -> FastAPI:
    app = FastAPI(lifespan=lifespan, exception_handlers={Problem: as_async(on_problem)})
    app.include_router(router)
    return app


def starlette_see(request: Request) -> Response:
    see("endpoint")
    if "fail" in request.query_params:
        raise Problem
    return PlainTextResponse(threading.current_thread().name, background=BackgroundTask(background))


def make_starlette() -> Starlette:
    routes = both_routes("/see", starlette_see)
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={Problem: on_problem})


def _differing(*targets: str) -> list[Case]:
    """Make cases in which the two forms see something different, as they do on every server."""
    return [Case(target, is_twin=False) for target in targets]


VARIABLES = _differing(*(f"/variables/{name}{query}" for name in DEPENDENCIES for query in ("", "?fail=1")))
CASES = [
    *VARIABLES,
    *_differing("/variables/two", "/variables/stream"),
    *(Case(f"/variables/{name}") for name in ("token", "copy")),
    *_differing(*(f"/raises/{name}" for name in ("exit", "interrupt", "cancelled", "base", "stop"))),
    *(Case(f"/raises-in-task/{name}") for name in ("exit", "interrupt", "base", "stop")),
    *(Case(target) for target in ("/state", "/slow")),
]
STARLETTE_CASES = _differing("/see", "/see?fail=1")

FAMILIES = [
    Family("context", make_app, CASES, {"lifespan": "on"}),
    Family("context in async handlers", make_app_with_async_handler, VARIABLES, {"lifespan": "on"}),
    Family("context without lifespan's", make_app, VARIABLES, {"lifespan": "on", "reset_contextvars": True}),
    Family("Starlette context", make_starlette, STARLETTE_CASES, {"lifespan": "on"}),
]

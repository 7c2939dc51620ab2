"""FastAPI and Starlette: what user code sees around it: context variables, threads, the event loop, the request.

Whatever is noted must be the same on every server; where it is a matter of luck (which of several threads runs), only
what is certain is noted.
"""

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import sniffio
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.sync_endpoints.families import Case, Family, as_async, both, both_routes, note

router = APIRouter()
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
other: contextvars.ContextVar[str] = contextvars.ContextVar("other", default="unset")
local = threading.local()


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


# Threads


@both(router, "/thread")
def thread() -> dict[str, Any]:
    here = threading.current_thread()
    return {
        "name": here.name,
        "daemon": here.daemon,
        "is_main": here is threading.main_thread(),
        "type": isinstance(here, threading.Thread),
        "enumerated": here in threading.enumerate(),
        "ident": here.ident == threading.get_ident(),
        "native_id": here.native_id == threading.get_native_id(),
        "alive": here.is_alive(),
        "trace": [sys.gettrace() is None, sys.getprofile() is None],
    }


@both(router, "/thread/local")
def thread_local() -> str:
    # Kept by a thread that is used again; what is certain is that it is there until the function ends.
    local.value = "mine"
    return str(local.value)


@both(router, "/thread/same")
def thread_same(first: Annotated[int, Depends(threading.get_ident)]) -> bool:
    return first == threading.get_ident()


@both(router, "/thread/lock")
def thread_lock() -> str:
    with threading.RLock(), threading.Lock():
        return "locked"


# Event loops


@both(router, "/loop")
def loop() -> str:
    try:
        return type(asyncio.get_running_loop()).__name__
    except RuntimeError as error:
        return f"RuntimeError {error}"


@both(router, "/loop/task")
def current_task() -> str:
    try:
        return str(asyncio.current_task() is not None)
    except RuntimeError as error:
        return f"RuntimeError {error}"


@both(router, "/loop/sniffio")
def sniffed() -> str:
    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return "none"


@both(router, "/loop/anyio")
def anyio_sees() -> list[str]:
    seen = []
    for look in (anyio.get_current_task, anyio.get_cancelled_exc_class, anyio.to_thread.current_default_thread_limiter):
        try:
            look()
            seen.append("there")
        except Exception as error:
            seen.append(type(error).__name__)
    return seen


async def on_the_loop(value: str) -> str:
    note("on the loop", variable.get(), threading.current_thread().name != "AnyIO worker thread")
    variable.set("on the loop")
    await asyncio.sleep(0)
    return f"{value} {asyncio.get_running_loop().is_running()}"


def own_loop(name: str) -> Any:
    if name == "asyncio":
        return asyncio.run(on_the_loop("asyncio.run"))
    if name == "anyio":
        return anyio.run(on_the_loop, "anyio.run")
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop):
        return loop.run_until_complete(on_the_loop("new_event_loop"))


@both(router, "/loop/own/{name}")
def loop_own(name: str) -> Any:
    return own_loop(name)


@both(router, "/loop/own-and-from-thread")
def loop_own_and_from_thread() -> list[str]:
    variable.set("endpoint")
    return [own_loop("asyncio"), anyio.from_thread.run(on_the_loop, "then"), variable.get()]


@both(router, "/loop/portal")
def portal() -> str:
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(on_the_loop, "portal")


# anyio.from_thread


def raising() -> None:
    raise Problem("on the loop")


async def raising_async() -> None:
    await asyncio.sleep(0)
    raise Problem("on the loop")


@both(router, "/from-thread/run")
def from_thread_run() -> list[str]:
    variable.set("endpoint")
    return [anyio.from_thread.run(on_the_loop, "run"), variable.get()]


@both(router, "/from-thread/run-sync")
def from_thread_run_sync() -> list[str]:
    variable.set("endpoint")
    seen = anyio.from_thread.run_sync(lambda: [variable.get(), type(asyncio.get_running_loop()).__module__])
    return [*seen, variable.get()]


@both(router, "/from-thread/raises/{name}")
def from_thread_raises(name: str) -> str:
    try:
        anyio.from_thread.run(raising_async) if name == "async" else anyio.from_thread.run_sync(raising)
    except Problem as error:
        return f"caught {error}"
    return "nothing"


@both(router, "/from-thread/check")
def check_cancelled() -> str:
    anyio.from_thread.check_cancelled()
    return "not cancelled"


@both(router, "/from-thread/nested")
def nested() -> str:
    async def back() -> str:
        return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(on_the_loop, "nested"))

    return anyio.from_thread.run(back)


@both(router, "/from-thread/pool")
def to_pool_and_back() -> str:
    async def back() -> str:
        return await run_in_threadpool(lambda: threading.current_thread().name)

    return anyio.from_thread.run(back)


@both(router, "/from-thread/in-dependency")
def in_dependency(value: Annotated[str, Depends(from_thread_run_sync)]) -> Any:
    return value


@both(router, "/from-thread/in-task")
def in_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(lambda: note("task", anyio.from_thread.run(on_the_loop, "task")))
    return "sent"


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
    *_differing("/thread", "/thread/same", "/loop", "/loop/task", "/loop/sniffio", "/loop/anyio"),
    *(Case(f"/thread/{name}") for name in ("local", "lock")),
    # Only a thread may have a loop of its own.
    *(Case(f"/def/loop/own/{name}", is_absolute=True) for name in ("asyncio", "anyio", "new")),
    *(Case(f"/def/loop/{name}", is_absolute=True) for name in ("own-and-from-thread", "portal")),
    *(Case(f"/def/from-thread/{name}", is_absolute=True) for name in ("run", "run-sync", "check", "nested", "pool")),
    *(Case(f"/def/from-thread/raises/{name}", is_absolute=True) for name in ("async", "sync")),
    *(Case(f"/from-thread/in-{place}") for place in ("task", "dependency")),
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

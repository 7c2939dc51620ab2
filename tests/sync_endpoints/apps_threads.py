"""FastAPI: threads, event loops and anyio.from_thread, as functions in an endpoint thread see them.

Which of several threads runs a function is a matter of luck; only what is certain is answered and noted.
"""

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import sniffio
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from tests.sync_endpoints.families import Case, Family, both, note

router = APIRouter()
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
local = threading.local()


class Problem(Exception):
    """Raised on the loop, caught in the endpoint."""


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


def ident() -> int:
    # `get_ident` itself has no signature before Python 3.11.
    return threading.get_ident()


@both(router, "/thread/same")
def thread_same(first: Annotated[int, Depends(ident)]) -> bool:
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


@both(router, "/from-thread/limiter")
def limiter() -> list[float]:
    limiter = anyio.from_thread.run_sync(anyio.to_thread.current_default_thread_limiter)
    statistics = anyio.from_thread.run_sync(limiter.statistics)
    return [limiter.total_tokens, limiter.borrowed_tokens, limiter.available_tokens, statistics.tasks_waiting]


@both(router, "/from-thread/own-limiter")
def own_limiter() -> str:
    async def call() -> str:
        return await anyio.to_thread.run_sync(lambda: "called", limiter=anyio.CapacityLimiter(1))

    return anyio.from_thread.run(call)


@both(router, "/from-thread/abandoned")
def abandoned() -> str:
    async def call() -> str:
        with anyio.move_on_after(0.01):
            await anyio.to_thread.run_sync(gate.wait, 5, abandon_on_cancel=True)
        gate.set()
        return "moved on"

    gate = threading.Event()
    return anyio.from_thread.run(call)


@both(router, "/from-thread/cancelled")
def cancelled() -> list[Any]:
    async def call() -> list[Any]:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.to_thread.run_sync(note, "never")
        with anyio.move_on_after(0.01) as outer:
            # Not to be abandoned: it is waited for, and then the scope ends it.
            await anyio.to_thread.run_sync(time.sleep, 0.05)
            await anyio.sleep(1)
        return [scope.cancelled_caught, outer.cancelled_caught]

    return anyio.from_thread.run(call)


@both(router, "/from-thread/group")
def group() -> list[int]:
    seen = []

    async def one(number: int) -> None:
        seen.append(await anyio.to_thread.run_sync(lambda: number * 10))

    async def call() -> list[int]:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(one, number)
        return sorted(seen)

    return anyio.from_thread.run(call)


@both(router, "/from-thread/in-dependency")
def in_dependency(value: Annotated[str, Depends(from_thread_run_sync)]) -> Any:
    return value


@both(router, "/from-thread/in-task")
def in_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(lambda: note("task", anyio.from_thread.run(on_the_loop, "task")))
    return "sent"


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


# The two forms see something different, as they do on every server.
DIFFERING = ("thread", "thread/same", "loop", "loop/task", "loop/sniffio", "loop/anyio")
FROM_THREAD = (
    "run",
    "run-sync",
    "check",
    "nested",
    "pool",
    "limiter",
    "own-limiter",
    "abandoned",
    "cancelled",
    "group",
)
CASES = [
    *(Case(f"/{name}", is_twin=False) for name in DIFFERING),
    *(Case(f"/thread/{name}") for name in ("local", "lock")),
    # Only a thread may have a loop of its own.
    *(Case(f"/def/loop/own/{name}", is_absolute=True) for name in ("asyncio", "anyio", "new")),
    *(Case(f"/def/loop/{name}", is_absolute=True) for name in ("own-and-from-thread", "portal")),
    *(Case(f"/def/from-thread/{name}", is_absolute=True) for name in FROM_THREAD),
    *(Case(f"/def/from-thread/raises/{name}", is_absolute=True) for name in ("async", "sync")),
    *(Case(f"/from-thread/in-{place}") for place in ("task", "dependency")),
]

FAMILIES = [Family("threads", make_app, CASES)]

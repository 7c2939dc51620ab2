"""FastAPI: endpoints that block, wait for each other, or burn CPU time; by import string, too."""

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, FastAPI


class Meter:
    """Counts how many functions run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.running -= 1


def limited_to(tokens: int) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Make a lifespan that sets anyio's limit, as apps do."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = tokens
        yield

    return lifespan


def make_app(meter: Meter, *, tokens: int | None = None, parties: int = 1) -> FastAPI:
    """Make an app that counts with `meter`; /meet waits until `parties` requests are there."""
    app = FastAPI(lifespan=None if tokens is None else limited_to(tokens))
    barrier = threading.Barrier(parties)

    def sleeping_dependency(milliseconds: int) -> int:
        with meter:
            time.sleep(milliseconds / 1000)
        return milliseconds

    @app.get("/sleep/{milliseconds}")
    def sleep(milliseconds: int) -> int:
        with meter:
            time.sleep(milliseconds / 1000)
        return milliseconds

    @app.get("/dependency/{milliseconds}")
    async def dependency(value: Annotated[int, Depends(sleeping_dependency)]) -> int:
        return value

    @app.get("/meet")
    def meet() -> int:
        with meter:
            return min(barrier.wait(10), 0)

    @app.get("/quick")
    def quick() -> str:
        return "quick"

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    @app.get("/spin/{milliseconds}")
    def spin(milliseconds: int) -> int:
        end = time.thread_time() + milliseconds / 1000
        turns = 0
        while time.thread_time() < end:
            turns += 1
        return milliseconds

    return app


app = make_app(Meter())

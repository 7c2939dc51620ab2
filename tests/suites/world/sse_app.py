"""Events by sse-starlette: with an end, without one, from a sync iterator, with pings, with a farewell at shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
from sse_starlette import EventSourceResponse, JSONServerSentEvent, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

journal: list[str] = []


async def numbers(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[ServerSentEvent]:
        for number in range(5):
            yield JSONServerSentEvent({"number": number}, event="number", id=str(number))

    return EventSourceResponse(events())


def numbers_sync(request: Request) -> EventSourceResponse:
    def events() -> Iterator[dict[str, object]]:
        for number in range(5):
            yield {"data": number, "event": "number", "id": str(number)}

    return EventSourceResponse(events(), sep="\n")


async def endless(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[dict[str, object]]:
        try:
            while not await request.is_disconnected():
                yield {"data": "tick"}
                await anyio.sleep(0.01)
            journal.append("saw the disconnect")
        except anyio.get_cancelled_exc_class():
            journal.append("was cancelled")
            raise
        finally:
            print("the endless stream is over", flush=True)

    async def on_close(message: dict[str, object]) -> None:
        journal.append(f"closed by {message['type']}")

    return EventSourceResponse(events(), client_close_handler_callable=on_close)


async def silent(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield "never"

    return EventSourceResponse(events(), ping=0.05)


async def polite(request: Request) -> EventSourceResponse:
    leaving = anyio.Event()

    async def events() -> AsyncIterator[str]:
        yield "hello"
        await leaving.wait()
        yield "goodbye"

    return EventSourceResponse(events(), shutdown_event=leaving, shutdown_grace_period=5)


async def read_journal(request: Request) -> JSONResponse:
    entries = list(journal)
    journal.clear()
    return JSONResponse(entries)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    print("no more events", flush=True)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/numbers", numbers),
        Route("/numbers/sync", numbers_sync),
        Route("/endless", endless),
        Route("/silent", silent),
        Route("/polite", polite),
        Route("/journal", read_journal),
    ],
)

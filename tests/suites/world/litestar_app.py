"""Litestar: a controller with dependencies and DTOs, sync handlers in threads, uploads, streams, events, WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from litestar import Controller, Litestar, MediaType, Request, WebSocket, delete, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State, UploadFile
from litestar.di import Provide
from litestar.dto import DataclassDTO, DTOConfig
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.handlers import WebsocketListener
from litestar.params import Body
from litestar.response import File, Response, ServerSentEvent, Stream


@dataclass
class Book:
    title: str
    pages: int
    secret: str = "hidden"


class Shelf:
    def __init__(self) -> None:
        self.books: dict[str, Book] = {}


class BookDTO(DataclassDTO[Book]):
    config = DTOConfig(exclude={"secret"})


async def shelf(state: State) -> AsyncGenerator[Shelf, None]:
    state.journal.append("shelf taken")
    yield state.shelf
    state.journal.append("shelf returned")


class Books(Controller):
    path = "/books"
    dto = BookDTO
    dependencies = {"shelf": Provide(shelf)}  # noqa: RUF012

    @post()
    async def add(self, data: Book, shelf: Shelf) -> Book:
        shelf.books[data.title] = data
        return data

    @get("/{title:str}", sync_to_thread=True)
    def read(self, title: str, shelf: Shelf) -> Book:
        if title not in shelf.books:
            raise NotFoundException(f"no book called {title}")
        return shelf.books[title]

    @delete("/{title:str}")
    async def remove(self, title: str, shelf: Shelf) -> None:
        del shelf.books[title]


@get("/journal", sync_to_thread=False)
def journal(state: State) -> list[str]:
    entries = list(state.journal)
    state.journal.clear()
    return entries


@post("/upload")
async def upload(data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    return {"name": data.filename, "size": len(await data.read())}


@get("/mail/{address:str}")
async def mail(address: str, state: State) -> Response[str]:
    return Response("on its way", background=BackgroundTask(state.journal.append, f"mail to {address}"))


@get("/long", media_type=MediaType.TEXT)
async def long_text() -> str:
    return "all the same " * 10_000


@get("/stream")
async def stream() -> Stream:
    async def lines() -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return Stream(lines(), media_type=MediaType.TEXT)


@get("/events")
async def events() -> ServerSentEvent:
    async def ticks() -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {"data": str(number), "event": "tick", "id": number}

    return ServerSentEvent(ticks())


@get("/source")
async def source() -> File:
    return File(Path(__file__), filename="books.py")


@get("/echo-header")
async def echo_header(request: Request) -> dict[str, list[str]]:
    return {"values": request.headers.getall("x-many")}


class Upper(WebsocketListener):
    path = "/upper"

    def on_receive(self, data: str) -> str:
        return data.upper()


@websocket("/sum")
async def add_up(socket: WebSocket) -> None:
    await socket.accept()
    while (numbers := await socket.receive_json()) is not None:
        await socket.send_json({"sum": sum(numbers)})
    await socket.close(4004, "enough")


@asynccontextmanager
async def library(app: Litestar) -> AsyncIterator[None]:
    app.state.shelf = Shelf()
    app.state.journal = []
    yield
    print("the library is closed", flush=True)


app = Litestar(
    [Books, journal, upload, mail, long_text, stream, events, source, echo_header, Upper, add_up],
    lifespan=[library],
    compression_config=CompressionConfig(backend="gzip", minimum_size=500),
)

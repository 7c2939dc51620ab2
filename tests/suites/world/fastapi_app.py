"""A shop in FastAPI: dependencies, forms, files, background tasks, streams, events, a chat, errors, documentation."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
    status,
)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.routing import APIRouter
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    journal: list[str] = []
    yield {"journal": journal}
    print("the shop is closed", flush=True)


app = FastAPI(title="Shop", version="1.2.3", lifespan=lifespan)
app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"], allow_methods=["*"])


class OutOfStock(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


@app.exception_handler(OutOfStock)
def out_of_stock(request: Request, error: OutOfStock) -> JSONResponse:
    return JSONResponse({"out_of_stock": error.name}, status.HTTP_409_CONFLICT)


# Dependencies


class Session:
    """What a database session would be: it knows how it ended."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        journal.append("begin")

    def end(self, how: str) -> None:
        self.journal.append(how)


def sync_session(request: Request) -> Iterator[Session]:
    session = Session(request.state.journal)
    try:
        yield session
        session.end("commit")
    except Exception:
        session.end("rollback")
        raise


async def async_session(request: Request) -> AsyncIterator[Session]:
    session = Session(request.state.journal)
    try:
        yield session
        session.end("commit")
    except Exception:
        session.end("rollback")
        raise


oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


def current_user(token: Annotated[str, Depends(oauth2_scheme)]) -> str:
    if not token.startswith("token-of-"):
        raise HTTPException(401, "Invalid token", headers={"WWW-Authenticate": "Bearer"})
    return token.removeprefix("token-of-")


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float = Field(gt=0)
    tags: list[str] = []


class StoredItem(Item):
    id: int


items = APIRouter(prefix="/items", tags=["items"])
stock: dict[int, StoredItem] = {}


@items.post("", status_code=201)
def create_item(item: Item, session: Annotated[Session, Depends(sync_session)]) -> StoredItem:
    stored = StoredItem(id=len(stock) + 1, **item.model_dump())
    stock[stored.id] = stored
    return stored


@items.get("/{item_id}")
async def read_item(item_id: int, session: Annotated[Session, Depends(async_session)]) -> StoredItem:
    if item_id not in stock:
        raise HTTPException(404, "Item not found")
    return stock[item_id]


@items.get("/")
def search_items(
    tag: Annotated[list[str], Query()] = [],  # noqa: B006
    limit: Annotated[int, Query(le=100)] = 10,
) -> list[StoredItem]:
    return [item for item in stock.values() if set(tag) <= set(item.tags)][:limit]


@items.post("/{name}/order")
def order_item(name: str, session: Annotated[Session, Depends(sync_session)]) -> None:
    raise OutOfStock(name)


app.include_router(items)


@app.get("/journal")
async def read_journal(request: Request) -> list[str]:
    entries = list(request.state.journal)
    request.state.journal.clear()
    return entries


@app.post("/token")
def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    return {"access_token": f"token-of-{form.username}", "token_type": "bearer"}


@app.get("/me")
def read_me(
    response: Response,
    user: Annotated[str, Depends(current_user)],
    visits: Annotated[int, Cookie()] = 0,
    x_tags: Annotated[list[str] | None, Header()] = None,
) -> dict[str, object]:
    response.set_cookie("visits", str(visits + 1), httponly=True)
    return {"user": user, "visits": visits, "tags": x_tags}


# Files


@app.post("/files")
async def upload(
    note: Annotated[str, Form()],
    files: Annotated[list[UploadFile], File()],
) -> dict[str, object]:
    seen = {file.filename: hashlib.sha256(await file.read()).hexdigest() for file in files}
    return {"note": note, "files": seen}


@app.post("/file")
def upload_sync(file: UploadFile) -> dict[str, object]:
    return {"size": len(file.file.read()), "type": file.content_type}


@app.put("/raw")
async def raw(request: Request) -> dict[str, object]:
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/source")
def source() -> FileResponse:
    return FileResponse(Path(__file__), filename="shop.py")


# Background tasks, streams and events


@app.post("/notify/{email}", status_code=202)
def notify(email: str, request: Request, tasks: BackgroundTasks) -> dict[str, str]:
    async def write_later() -> None:
        await asyncio.sleep(0)
        request.state.journal.append(f"async mail to {email}")

    tasks.add_task(request.state.journal.append, f"mail to {email}")
    tasks.add_task(write_later)
    return {"message": "on its way"}


@app.get("/stream/{kind}")
def stream(kind: str, count: int = 5) -> StreamingResponse:
    async def numbers() -> AsyncIterator[str]:
        for number in range(count):
            yield f"{number}\n"
            await asyncio.sleep(0)

    content = numbers() if kind == "async" else (f"{number}\n" for number in range(count))
    return StreamingResponse(content, media_type="text/plain")


@app.get("/events", response_class=EventSourceResponse)
async def events(count: int = 3) -> AsyncIterator[ServerSentEvent]:
    for number in range(count):
        yield ServerSentEvent(data={"number": number}, event="tick", id=str(number))


@app.get("/events/sync", response_class=EventSourceResponse)
def sync_events(count: int = 3) -> Iterator[Item]:
    for number in range(count):
        yield Item(name=f"item {number}", price=1)


@app.get("/endless")
async def endless(request: Request) -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            request.state.journal.append("the endless stream ended")

    return StreamingResponse(ticks())


@app.get("/process")
def process() -> int:
    return os.getpid()


@app.get("/old")
def old() -> RedirectResponse:
    return RedirectResponse("/items/")


@app.get("/broken")
def broken() -> PlainTextResponse:
    raise RuntimeError("a fault of the application")


# A chat


class Room:
    def __init__(self) -> None:
        self.members: list[WebSocket] = []

    async def say(self, text: str) -> None:
        for member in self.members:
            await member.send_text(text)


room = Room()


async def name_of(websocket: WebSocket, name: Annotated[str | None, Query()] = None) -> str:
    if name is None:
        raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION, reason="no name")
    return name


@app.websocket("/chat")
async def chat(websocket: WebSocket, name: Annotated[str, Depends(name_of)]) -> None:
    await websocket.accept(subprotocol="chat" if "chat" in websocket.scope["subprotocols"] else None)
    room.members.append(websocket)
    try:
        while True:
            await room.say(f"{name}: {await websocket.receive_text()}")
    except WebSocketDisconnect as end:
        room.members.remove(websocket)
        await room.say(f"{name} left with {end.code}")


# Another application in a folder of its own

admin = FastAPI(title="Back office")


@admin.middleware("http")
async def add_process_time(request: Request, call_next):
    begun = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = f"{time.perf_counter() - begun:.6f}"
    return response


@admin.get("/where")
def where(request: Request) -> dict[str, str]:
    return {"root_path": request.scope["root_path"], "url": str(request.url_for("where"))}


app.mount("/admin", admin)

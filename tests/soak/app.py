"""The application under the soak. Every answer says what was asked, so that one that went astray is noticed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, WebSocket
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from tests.serving import REPOSITORY

THINKING_SECONDS = 0.02
# Longer than what TLS and a socket hold; whoever runs the soak makes it.
FILE = REPOSITORY / "target" / "soak.bin"
FILE_CONTENT = b"".join(number.to_bytes(4, "big") for number in range(300_000))

app = FastAPI()


class Expected(Exception):
    """What the application raises because it was asked to: not a sign of trouble in the log."""


@app.get("/async/{token}")
async def answer(token: str) -> str:
    """Answer at once."""
    return token


@app.get("/sync/{token}")
def answer_in_lane(token: str) -> str:
    """Answer from an endpoint thread."""
    return token


@app.get("/slow/{token}")
async def answer_late(token: str) -> str:
    """Answer a little later."""
    await asyncio.sleep(THINKING_SECONDS)
    return token


@app.post("/digest/{token}")
async def digest(token: str, request: Request) -> Response:
    """Read all content, then answer with what it was."""
    whole = hashlib.sha256()
    async for piece in request.stream():
        whole.update(piece)
    return PlainTextResponse(f"{token} {whole.hexdigest()}")


@app.post("/ignore/{token}")
async def ignore(token: str) -> Response:
    """Answer without a look at the content."""
    return PlainTextResponse(token)


@app.get("/stream/{token}/{count}/{size}")
async def stream(token: str, count: int, size: int) -> Response:
    """Answer in pieces."""
    return StreamingResponse(pieces(token, count, size))


async def pieces(token: str, count: int, size: int) -> AsyncIterator[bytes]:
    """Make pieces that differ from each other and from those of other tokens."""
    for number in range(count):
        yield piece_of(token, number, size)


def piece_of(token: str, number: int, size: int) -> bytes:
    """Make one piece of a stream."""
    return (f"{token} {number} ".encode() * (size // 8 + 1))[:size]


@app.get("/file/{token}")
async def file(token: str) -> Response:
    """Have the server send a file, or a part of it."""
    return FileResponse(FILE)


@app.get("/raise/{token}")
async def fail(token: str) -> Response:
    """Fail before there is an answer."""
    raise Expected(token)


@app.get("/cut/{token}")
async def cut(token: str) -> Response:
    """Fail behind the first piece."""

    async def broken() -> AsyncIterator[bytes]:
        yield piece_of(token, 0, 1000)
        raise Expected(token)

    return StreamingResponse(broken())


@app.get("/block/{milliseconds}")
async def block(milliseconds: int) -> str:
    """Block the event loop, as no application should."""
    time.sleep(milliseconds / 1000)  # that is the fault
    return "blocked"


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Send back every message."""
    await websocket.accept()
    while (event := await websocket.receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await websocket.send_text(event["text"])
        else:
            await websocket.send_bytes(event["bytes"])

"""A small notes service: the features of FastAPI that lean on the server, each in one short endpoint.

Run it with `make run`, or `bicorn --app-dir examples demo:app`; README.md has a command for each endpoint.
Nothing here knows which server it runs on: `uvicorn --app-dir examples demo:app` serves the same.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypedDict

from fastapi import BackgroundTasks, Depends, FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from notes import Note, NoteNotFoundError, Notes

DATABASE = Path(__file__).with_name("demo.sqlite3")
UPLOAD_CHUNK_BYTES = 64 * 1024


class State(TypedDict):
    """What start-up leaves for the requests: each finds it in `request.state`."""

    notes: Notes


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Open the database before the first request and close it after the last."""
    notes = Notes(Path(os.environ.get("DEMO_DATABASE", DATABASE)))
    try:
        yield {"notes": notes}
    finally:
        notes.close()


app = FastAPI(title="bicorn demo", lifespan=lifespan)


def _notes(request: Request) -> Notes:
    notes: Notes = request.state.notes
    return notes


NotesDependency = Annotated[Notes, Depends(_notes)]


class NewNote(BaseModel):
    """What a client sends to make a note."""

    text: str = Field(min_length=1, max_length=1000)
    tags: list[str] = Field(default=[], max_length=10)


class Upload(BaseModel):
    """What was received."""

    name: str
    bytes: int
    sha256: str


@app.get("/")
async def index() -> dict[str, list[str]]:
    """List the routes."""
    return {"routes": sorted({getattr(route, "path", "") for route in app.routes})}


# Plain functions: FastAPI runs them in a thread, so that a slow disk does not stop the event loop.


@app.post("/notes", status_code=201)
def create_note(new: NewNote, notes: NotesDependency, background: BackgroundTasks) -> Note:
    """Keep a note; its words are counted after the response was sent."""
    note = notes.add(new.text, new.tags)
    background.add_task(notes.count_words, note.id)
    return note


@app.get("/notes")
def list_notes(
    notes: NotesDependency,
    tag: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[Note]:
    """List the newest notes, of one tag if it is given."""
    return notes.newest(limit, tag)


@app.get("/notes/{note_id}")
def read_note(note_id: int, notes: NotesDependency) -> Note:
    """Return one note."""
    return notes.find(note_id)


@app.delete("/notes/{note_id}", status_code=204)
def delete_note(note_id: int, notes: NotesDependency) -> None:
    """Forget a note."""
    notes.remove(note_id)


@app.get("/notes.csv")
def export_notes(notes: NotesDependency) -> StreamingResponse:
    """Download all notes as CSV, a row at a time: memory does not grow with their number."""

    def rows() -> Iterator[str]:
        line = io.StringIO()
        writer = csv.writer(line)
        writer.writerow(["id", "text", "tags"])
        for note in notes.all():
            writer.writerow([note.id, note.text, " ".join(note.tags)])
            yield line.getvalue()
            line.seek(0)
            line.truncate()
        yield line.getvalue()

    return StreamingResponse(
        rows(), media_type="text/csv", headers={"content-disposition": 'attachment; filename="notes.csv"'}
    )


@app.post("/uploads")
async def upload_form(file: Annotated[UploadFile, File()]) -> Upload:
    """Take a file from a multipart form; large ones lie on disk while they are read."""
    digest, size = hashlib.sha256(), 0
    while chunk := await file.read(UPLOAD_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return Upload(name=file.filename or "", bytes=size, sha256=digest.hexdigest())


@app.put("/uploads/{name}")
async def upload_raw(name: str, request: Request) -> Upload:
    """Take the request body as it comes in: the server reads on only as fast as this loop does."""
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return Upload(name=name, bytes=size, sha256=digest.hexdigest())


@app.get("/downloads/{mebibytes}")
async def download(mebibytes: int) -> StreamingResponse:
    """Send some MiB of zeros; a slow client makes the generator wait, not the memory grow."""
    if not 1 <= mebibytes <= 1024:
        raise HTTPException(422, "between 1 and 1024 MiB")

    async def chunks() -> AsyncIterator[bytes]:
        zeros = bytes(64 * 1024)
        for _ in range(mebibytes * 16):
            yield zeros

    size = str(mebibytes * 1024**2)
    return StreamingResponse(chunks(), media_type="application/octet-stream", headers={"content-length": size})


@app.get("/ticks")
async def ticks(count: Annotated[int, Query(ge=1, le=1000)] = 10, seconds: float = 0.5) -> StreamingResponse:
    """Send server-sent events, each as soon as it is due. A client that leaves ends the generator."""

    async def events() -> AsyncIterator[str]:
        for number in range(1, count + 1):
            yield f"id: {number}\ndata: tick {number} of {count}\n\n"
            await asyncio.sleep(seconds)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@app.get("/slow")
async def slow(seconds: Annotated[float, Query(ge=0, le=30)] = 1.0) -> dict[str, float]:
    """Wait without keeping anyone else waiting."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@app.get("/broken")
async def broken() -> None:
    """Fail: the client gets a 500 and the server's log the traceback."""
    raise RuntimeError("this endpoint always fails")


@app.exception_handler(NoteNotFoundError)
async def answer_note_not_found(_request: Request, error: NoteNotFoundError) -> JSONResponse:
    """Turn the service's own error into a response, in one place."""
    return JSONResponse({"detail": f"there is no note {error.note_id}"}, status_code=404)

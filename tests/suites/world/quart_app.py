"""Quart: async and sync handlers, sessions, uploads, streams both ways, events, a background task, WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from quart import Quart, abort, jsonify, make_response, request, session, websocket

app = Quart(__name__, static_folder="static")
app.secret_key = "secret"
journal: list[str] = []


@app.before_serving
async def open_up() -> None:
    journal.append("open")


@app.after_serving
async def close_down() -> None:
    print("quart is closed", flush=True)


@app.get("/journal")
async def read_journal():
    entries = list(journal)
    journal.clear()
    return jsonify(entries)


@app.get("/hello/<name>")
async def hello(name: str):
    await asyncio.sleep(0)
    return {"hello": name, "query": request.args.to_dict(flat=False)}


@app.get("/sync/<name>")
def hello_sync(name: str):
    return f"hello {name} {request.args['x']}"


@app.get("/visits")
async def visits():
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.post("/upload")
async def upload():
    files = await request.files
    form = await request.form
    return {"files": {name: len(file.read()) for name, file in files.items()}, "fields": form.to_dict()}


@app.post("/size")
async def size():
    count = 0
    async for chunk in request.body:
        count += len(chunk)
    return {"size": count}


@app.get("/stream")
async def stream():
    async def lines() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()
            await asyncio.sleep(0)

    return lines(), 200, {"content-type": "text/plain"}


@app.get("/events")
async def events():
    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"event: tick\ndata: 1\n\n"
                await asyncio.sleep(0.01)
        finally:
            journal.append("the events ended")

    response = await make_response(ticks(), {"content-type": "text/event-stream"})
    response.timeout = None
    return response


@app.post("/mail/<address>")
async def mail(address: str):
    async def write() -> None:
        journal.append(f"mail to {address}")

    app.add_background_task(write)
    return "", 202


@app.get("/forbidden")
async def forbidden():
    abort(403, "not for you")


@app.websocket("/echo")
async def echo() -> None:
    await websocket.accept(subprotocol="echo")
    try:
        while True:
            await websocket.send(await websocket.receive())
    except asyncio.CancelledError:
        journal.append("echo cancelled")
        raise


@app.websocket("/refused")
async def refused():
    return "no entry", 401

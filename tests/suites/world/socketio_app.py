"""python-socketio as an ASGI application: events with answers, rooms, a session, messages by the server, leaving."""

from __future__ import annotations

import asyncio
from typing import Any

import socketio

sio = socketio.AsyncServer(async_mode="asgi", ping_interval=5)
journal: list[str] = []


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str] | None) -> None:
    if not auth or "name" not in auth:
        raise socketio.exceptions.ConnectionRefusedError("a name is needed")
    await sio.save_session(sid, {"name": auth["name"], "scheme": environ["asgi.scope"]["scheme"]})
    await sio.emit("welcome", {"name": auth["name"]}, to=sid)


@sio.event
async def disconnect(sid: str, reason: str) -> None:
    async with sio.session(sid) as session:
        journal.append(f"{session['name']} left")
    await sio.emit("left", session["name"])


@sio.event
async def add(sid: str, numbers: list[int]) -> dict[str, Any]:
    session = await sio.get_session(sid)
    return {"sum": sum(numbers), "for": session["name"], "scheme": session["scheme"]}


@sio.event
async def echo(sid: str, data: bytes) -> bytes:
    return data


@sio.event
async def enter(sid: str, room: str) -> None:
    await sio.enter_room(sid, room)


@sio.event
async def say(sid: str, room: str, text: str) -> None:
    await sio.emit("said", text, room=room, skip_sid=sid)


@sio.event
async def count(sid: str, until: int) -> None:
    async def emit_numbers() -> None:
        for number in range(until):
            await sio.emit("number", number, to=sid)
            await asyncio.sleep(0)

    sio.start_background_task(emit_numbers)


async def closed() -> None:
    print("the sockets are closed", flush=True)


app = socketio.ASGIApp(sio, static_files={"/": "static/index.html"}, on_shutdown=closed)

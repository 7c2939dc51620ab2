"""WebSocket apps that several tests serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any

from tests.apps import Event, Receive, Scope, Send

Script = Callable[["Talk"], Awaitable[object]]

ACCEPT: Event = {"type": "websocket.accept"}


class Talk:
    """An app that runs a script with itself as the argument, and keeps what the script met.

    `connect`, `accept` and `until_disconnect` are steps that most scripts begin or end with.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.scopes: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._received: SimpleQueue[Event] = SimpleQueue()
        self._errors: SimpleQueue[BaseException | None] = SimpleQueue()
        self.receive: Receive
        self.send: Send

    def next_event(self) -> Event:
        """Wait for the next event that the script received, in the test's thread."""
        return self._received.get(timeout=5)

    def events_until_disconnect(self) -> list[Event]:
        """All events up to `websocket.disconnect`."""
        events = [self.next_event()]
        while events[-1]["type"] != "websocket.disconnect":
            events.append(self.next_event())
        return events

    def error(self) -> BaseException | None:
        """Wait for the script's end and return what it raised, if anything."""
        return self._errors.get(timeout=5)

    async def next(self) -> Event:
        """Receive an event and keep it."""
        event = await self.receive()
        self._received.put(event)
        return event

    async def accept(self) -> None:
        """Receive `websocket.connect` and accept."""
        await self.next()
        await self.send(dict(ACCEPT))

    async def until_disconnect(self) -> None:
        """Receive until the end."""
        while (await self.next())["type"] != "websocket.disconnect":
            pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        self.receive, self.send = receive, send
        self.scopes.put(scope)  # type: ignore[arg-type]  # a dict, as the scope tests check
        try:
            result = await self._script(self)
        except BaseException as error:
            self._errors.put(error)
            raise
        self._errors.put(None)
        return result


async def accept_and_wait(talk: Talk) -> None:
    """Accept, then receive until the end: a script."""
    await talk.accept()
    await talk.until_disconnect()


def records(server: Any) -> list[tuple[str, str, Any]]:
    """List level, message and args of what the logger uvicorn.error got."""
    return [(one.levelname, one.msg, one.args) for one in server.logs.of("uvicorn.error")]


def text(message: str) -> Event:
    """Make a websocket.send event."""
    return {"type": "websocket.send", "text": message}


def close(code: int = 1000, reason: str | None = None) -> Event:
    """Make a websocket.close event."""
    return {"type": "websocket.close", "code": code, "reason": reason}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back every message until the peer leaves."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send(dict(ACCEPT))
    while (event := await receive())["type"] == "websocket.receive":
        key = "text" if "text" in event else "bytes"
        await send({"type": "websocket.send", key: event[key]})

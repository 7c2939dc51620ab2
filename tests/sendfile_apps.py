"""Events that send files, and an app that sends them, for servers in another process."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

from tests.apps import Event, Headers, Receive, Scope, Send, body, hello, start

# More than any socket buffer of the tests holds at once, and no multiple of anything.
LARGE = 5_000_003


def sized(count: int) -> Headers:
    """Make the headers of a response of known length."""
    return [(b"content-length", str(count).encode())]


def path_send(path: Any) -> Event:
    """Make a pathsend event."""
    return {"type": "http.response.pathsend", "path": path}


def zero_copy(file: Any, *, more: bool = False, **options: Any) -> Event:
    """Make a zerocopysend event."""
    return {"type": "http.response.zerocopysend", "file": file, "more_body": more, **options}


async def by_query(scope: Scope, receive: Receive, send: Send) -> None:
    """Send `?path=`, whole; or `count` bytes of it from `offset` on, `times` times."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    if not query:
        await hello(scope, receive, send)
        return
    if "count" not in query:
        await send(start(headers=[(b"content-length", str(os.path.getsize(query["path"])).encode())]))
        await send({"type": "http.response.pathsend", "path": query["path"]})
        return
    count, times = int(query["count"]), int(query.get("times", 1))
    await send(start(headers=[(b"content-length", str(count * times).encode())]))
    for _ in range(times):
        with open(query["path"], "rb") as file:
            part = {"file": file, "offset": int(query["offset"]), "count": count, "more_body": True}
            await send({"type": "http.response.zerocopysend", **part})
    await send(body())

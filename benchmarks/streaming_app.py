"""The Starlette application of the responses that are not one small body: a file, and a stream of events."""

import os
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

EVENTS = 100


async def file(_request: Request) -> FileResponse:
    """Answer with the file that the benchmark made."""
    return FileResponse(os.environ["BENCH_FILE"], media_type="application/octet-stream")


async def events(_request: Request) -> EventSourceResponse:
    """Answer with 100 events, none of which waits for anything."""
    return EventSourceResponse(_ticks())


async def _ticks() -> AsyncIterator[dict[str, str]]:
    for number in range(EVENTS):
        yield {"event": "tick", "data": f"event {number}"}


app = Starlette(routes=[Route("/file", file), Route("/events", events)])

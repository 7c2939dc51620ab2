"""The Starlette application under load: one JSON route of each kind of function and no middleware of its own."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def json(_request: Request) -> JSONResponse:
    """Answer with a small JSON object."""
    return JSONResponse({"message": "Hello, world!"})


def json_def(_request: Request) -> JSONResponse:
    """Answer the same from a plain function, which Starlette runs in a thread."""
    return JSONResponse({"message": "Hello, world!"})


app = Starlette(routes=[Route("/json", json), Route("/json-def", json_def)])

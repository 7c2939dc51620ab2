"""Responses that an endpoint thread may send, and those that need the event loop.

`starlette.responses.Response.__call__` only awaits `send` and its background; a response class that keeps it may run
anywhere. A class with a `__call__` of its own (streams, files, those of applications) needs the loop.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from bicorn.sync_endpoints.frameworks import find_method, is_exactly, loaded, name_of

KNOWN_CALLS = ("starlette.responses:Response", "starlette.templating:_TemplateResponse")
KNOWN_BACKGROUNDS = (
    "starlette.background:BackgroundTask",
    "starlette.background:BackgroundTasks",
    "fastapi.background:BackgroundTasks",
)


class Kind(Enum):
    """What a type tells about its instances as results of an endpoint."""

    VALUE = "not an ASGI application: the framework makes a response of it, or raises"
    RESPONSE = "a response that only awaits `send` and its background"
    APPLICATION = "anything else that can be called, and so may need the loop"


# Read by each request, and quicker so than as attributes of the class.
RESPONSE, APPLICATION = Kind.RESPONSE, Kind.APPLICATION

# One entry for each type that any endpoint has returned; a type that is made for each request would fill it.
KINDS: dict[type, Kind] = {}
KINDS_LIMIT = 4096  # arbitrary


def needs_loop(result: object) -> bool:
    """Tell whether what a sync endpoint or exception handler returned must be handled on the event loop."""
    cls = type(result)
    kind = KINDS.get(cls)
    if kind is None:
        kind = _kind_of(cls)
        if len(KINDS) < KINDS_LIMIT:
            KINDS[cls] = kind
    if kind is not RESPONSE:
        return kind is APPLICATION
    background = getattr(result, "background", None)
    return background is not None and not is_exactly(background, *KNOWN_BACKGROUNDS)


def find_obstacle(response_class: Any) -> str | None:
    """Return why responses that the framework makes of this class may need the event loop, or None.

    What the framework makes is sent without another look at it. So a constructor of the application's, which could set
    any background, is an obstacle here, while `needs_loop` sees what it made.
    """
    if not isinstance(response_class, type):
        return f"response class {name_of(response_class)} is not a class"
    if _kind_of(response_class) is not Kind.RESPONSE:
        return f"response class {name_of(response_class)} may need the event loop"
    constructor = find_method(response_class, "__init__")
    if getattr(constructor, "__globals__", {}).get("__name__", "").partition(".")[0] not in ("starlette", "fastapi"):
        return f"response class {name_of(response_class)} has a constructor of its own"
    return None


def _kind_of(cls: type) -> Kind:
    call = find_method(cls, "__call__")
    if call is None:
        return Kind.VALUE
    response = loaded("starlette.responses:Response")
    calls = [vars(known)["__call__"] for path in KNOWN_CALLS if (known := loaded(path)) is not None]
    is_response = response is not None and issubclass(cls, response) and any(call is known for known in calls)
    is_plain = is_response and find_method(cls, "background") is None
    return Kind.RESPONSE if is_plain else Kind.APPLICATION

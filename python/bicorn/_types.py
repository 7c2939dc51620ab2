"""The ASGI types that the Python half works with.

Apps and the Rust half exchange plain dicts; a TypedDict stands here only for events that Python makes or
reads.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Literal, Protocol, TypedDict

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

ASGI3Application = Callable[[Scope, Receive, Send], Awaitable[None]]
ASGI2Application = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]
ASGIApplication = ASGI2Application | ASGI3Application

LifespanType = Literal["auto", "on", "off"]
LoopFactoryType = Literal["none", "auto", "asyncio", "uvloop", "zuvloop"]
AsgiSpecType = Literal["2.3", "2.5"]
SyncEndpointsType = Literal["auto", "pool", "off"]
HTTPProtocolType = Literal["auto", "h11", "httptools", "zttp"]
WSProtocolType = Literal["auto", "none", "websockets", "websockets-sansio", "wsproto"]
InterfaceType = Literal["auto", "asgi3", "asgi2", "wsgi"]

# One file, or several in the order of the certificates; None for a key that stands in the certificate's file.
PathsType = str | os.PathLike[str] | Sequence[str | os.PathLike[str] | None] | None


class ASGIVersions(TypedDict):
    """`scope["asgi"]`."""

    version: Literal["2.0", "3.0"]
    spec_version: str


class LifespanScope(TypedDict):
    """The scope of the one lifespan call."""

    type: Literal["lifespan"]
    asgi: ASGIVersions
    # Filled by the app during start-up; each request sees a shallow copy.
    state: dict[str, Any]


class LifespanReceiveEvent(TypedDict):
    """What the app receives."""

    type: Literal["lifespan.startup", "lifespan.shutdown"]


class _LifespanSendType(TypedDict):
    type: Literal[
        "lifespan.startup.complete",
        "lifespan.startup.failed",
        "lifespan.shutdown.complete",
        "lifespan.shutdown.failed",
    ]


class LifespanSendEvent(_LifespanSendType, total=False):
    """What the app sends."""

    # Why it failed, for the log.
    message: str


LifespanReceive = Callable[[], Coroutine[Any, Any, LifespanReceiveEvent]]
LifespanSend = Callable[[LifespanSendEvent], Coroutine[Any, Any, None]]
LifespanApplication = Callable[[LifespanScope, LifespanReceive, LifespanSend], Awaitable[None]]


class Exchange(Protocol):
    """What the Rust half is told when a request's app has ended."""

    def returned(self, result: object) -> None:
        """Complete the exchange, or answer 500 if the app has not answered."""

    def failed(self, error: BaseException) -> None:
        """Log the error, then answer 500 or abort the response in flight."""

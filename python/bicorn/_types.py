"""The ASGI types that the Python half works with, and those that programs import from `uvicorn._types`.

Apps and the Rust half exchange plain dicts; of our own, a TypedDict stands here only for events that Python makes or
reads. The events of HTTP and WebSocket, in the second half, are for programs alone (ASGI "HTTP & WebSocket").
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from types import TracebackType
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


# What programs import.

Headers = Iterable[tuple[bytes, bytes]]

Environ = MutableMapping[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
StartResponse = Callable[[str, Iterable[tuple[str, str]], ExcInfo | None], None]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes] | BaseException]


class _OptionalScope(TypedDict, total=False):
    state: dict[str, Any]
    extensions: dict[str, dict[object, object]]


class _WWWScope(_OptionalScope):
    asgi: ASGIVersions
    http_version: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None


class HTTPScope(_WWWScope):
    """The scope of a request."""

    type: Literal["http"]
    method: str


class WebSocketScope(_WWWScope):
    """The scope of a WebSocket."""

    type: Literal["websocket"]
    subprotocols: Iterable[str]


WWWScope = HTTPScope | WebSocketScope


class HTTPRequestEvent(TypedDict):
    """A piece of a request's content."""

    type: Literal["http.request"]
    body: bytes
    more_body: bool


class HTTPDisconnectEvent(TypedDict):
    """The client has gone."""

    type: Literal["http.disconnect"]


class _HTTPResponseStartEvent(TypedDict, total=False):
    headers: Headers
    trailers: bool


class HTTPResponseStartEvent(_HTTPResponseStartEvent):
    """Status and headers."""

    type: Literal["http.response.start"]
    status: int


class _HTTPResponseBodyEvent(TypedDict, total=False):
    more_body: bool


class HTTPResponseBodyEvent(_HTTPResponseBodyEvent):
    """A piece of a response's content."""

    type: Literal["http.response.body"]
    body: bytes


class HTTPResponseTrailersEvent(TypedDict):
    """Trailers."""

    type: Literal["http.response.trailers"]
    headers: Headers
    more_trailers: bool


class HTTPResponseEarlyHintEvent(TypedDict):
    """An informational response with links."""

    type: Literal["http.response.early_hint"]
    links: Iterable[bytes]


class HTTPResponseDebugEvent(TypedDict):
    """What a test client shows."""

    type: Literal["http.response.debug"]
    info: dict[str, object]


class HTTPServerPushEvent(TypedDict):
    """A push of HTTP/2."""

    type: Literal["http.response.push"]
    path: str
    headers: Headers


class WebSocketConnectEvent(TypedDict):
    """A handshake."""

    type: Literal["websocket.connect"]


class _WebSocketAcceptEvent(TypedDict, total=False):
    subprotocol: str | None
    headers: Headers


class WebSocketAcceptEvent(_WebSocketAcceptEvent):
    """Its acceptance."""

    type: Literal["websocket.accept"]


class _WebSocketReceiveEvent(TypedDict, total=False):
    bytes: bytes | None
    text: str | None


class WebSocketReceiveEvent(_WebSocketReceiveEvent):
    """A message of the client."""

    type: Literal["websocket.receive"]


class _WebSocketSendEvent(TypedDict, total=False):
    bytes: bytes | None
    text: str | None


class WebSocketSendEvent(_WebSocketSendEvent):
    """A message of the app."""

    type: Literal["websocket.send"]


class WebSocketResponseStartEvent(TypedDict):
    """A refusal: status and headers."""

    type: Literal["websocket.http.response.start"]
    status: int
    headers: Headers


class _WebSocketResponseBodyEvent(TypedDict, total=False):
    more_body: bool


class WebSocketResponseBodyEvent(_WebSocketResponseBodyEvent):
    """A refusal: content."""

    type: Literal["websocket.http.response.body"]
    body: bytes


class _WebSocketDisconnectEvent(TypedDict, total=False):
    reason: str | None


class WebSocketDisconnectEvent(_WebSocketDisconnectEvent):
    """The end of a WebSocket."""

    type: Literal["websocket.disconnect"]
    code: int


class _WebSocketCloseEvent(TypedDict, total=False):
    code: int
    reason: str | None


class WebSocketCloseEvent(_WebSocketCloseEvent):
    """The app's wish to end it."""

    type: Literal["websocket.close"]


class LifespanStartupEvent(TypedDict):
    """The server starts."""

    type: Literal["lifespan.startup"]


class LifespanShutdownEvent(TypedDict):
    """The server ends."""

    type: Literal["lifespan.shutdown"]


class LifespanStartupCompleteEvent(TypedDict):
    """The app is ready."""

    type: Literal["lifespan.startup.complete"]


class LifespanStartupFailedEvent(TypedDict):
    """The app cannot start."""

    type: Literal["lifespan.startup.failed"]
    message: str


class LifespanShutdownCompleteEvent(TypedDict):
    """The app has ended."""

    type: Literal["lifespan.shutdown.complete"]


class LifespanShutdownFailedEvent(TypedDict):
    """The app could not end as it should."""

    type: Literal["lifespan.shutdown.failed"]
    message: str


WebSocketEvent = WebSocketReceiveEvent | WebSocketDisconnectEvent | WebSocketConnectEvent

ASGIReceiveEvent = (
    HTTPRequestEvent
    | HTTPDisconnectEvent
    | WebSocketConnectEvent
    | WebSocketReceiveEvent
    | WebSocketDisconnectEvent
    | LifespanStartupEvent
    | LifespanShutdownEvent
)

ASGISendEvent = (
    HTTPResponseStartEvent
    | HTTPResponseBodyEvent
    | HTTPResponseEarlyHintEvent
    | HTTPResponseTrailersEvent
    | HTTPServerPushEvent
    | HTTPDisconnectEvent
    | WebSocketAcceptEvent
    | WebSocketSendEvent
    | WebSocketResponseStartEvent
    | WebSocketResponseBodyEvent
    | WebSocketCloseEvent
    | LifespanStartupCompleteEvent
    | LifespanStartupFailedEvent
    | LifespanShutdownCompleteEvent
    | LifespanShutdownFailedEvent
)

ASGIReceiveCallable = Callable[[], Awaitable[ASGIReceiveEvent]]
ASGISendCallable = Callable[[ASGISendEvent], Awaitable[None]]


class ASGI2Protocol(Protocol):
    """What an ASGI 2 app makes of a scope."""

    def __init__(self, scope: Scope) -> None:
        """Take the scope."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the exchange."""

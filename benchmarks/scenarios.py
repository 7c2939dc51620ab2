"""What is measured: one row of `SCENARIOS` is one table of the report.

To measure something more, add a row; `run.py` knows nothing about a scenario but its fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import apps

if TYPE_CHECKING:
    from collections.abc import Callable


Protocol = Literal["http1", "http2", "websocket", "deflate"]
"""`deflate` is WebSocket with permessage-deflate."""


@dataclass(frozen=True)
class Scenario:
    """One application under one kind of load."""

    name: str
    """What `--scenarios` takes."""
    title: str
    app: str
    """Import string, looked up in this folder."""
    connections: int
    is_right: Callable[[bytes], bool]
    """Whether a response body is the one that this scenario is about; asked before anything is measured."""
    path: str = "/"
    method: str = "GET"
    body: bytes | None = None
    content_type: str = "application/octet-stream"
    access_log: bool = False
    """Every server writes its default access log to a file; off otherwise."""
    protocol: Protocol = "http1"
    """What is spoken, and so which load generator is used and which servers can take part."""
    is_tls: bool = False
    streams: int = 1
    """Requests under way at once on each HTTP/2 connection."""
    message_bytes: int = 0
    """Size of a WebSocket message; it is echoed and compared."""
    is_binary: bool = False
    """Binary WebSocket messages instead of text."""
    twin: str = ""
    """The name of the scenario with the same work in `async def`; measured in the same rounds and compared with."""
    variants: tuple[str, ...] = ()
    """The names of the servers that take part in this scenario, but not in all."""


UPLOAD = bytes(range(256)) * 40
ITEM = {"name": "unicorn", "price": 9.99, "tags": ["horn", "hoof"]}
USERS = [(number, f"user {number}", f"user{number}@example.com") for number in range(1, 1001)]
"""The rows of the SQLite file: id, name, email."""


def _bytes(expected: bytes) -> Callable[[bytes], bool]:
    return lambda body: body == expected


def _json(expected: object) -> Callable[[bytes], bool]:
    return lambda body: json.loads(body) == expected


def _is_hundred_events(body: bytes) -> bool:
    return body == b"".join(b"event: tick\r\ndata: event %d\r\n\r\n" % number for number in range(100))


_is_hello = _bytes(apps.HELLO)
_is_json = _json({"message": "Hello, world!"})
_is_params = _json({"item_id": 42, "q": "horn", "limit": 5})
_is_mine = _json({"user": {"name": "unicorn"}, "page": {"offset": 20, "limit": 100}})
_is_user = _json(dict(zip(("id", "name", "email"), USERS[41], strict=True)))

# `bicorn` itself is the third: --sync-endpoints auto.
_SYNC_MODES = ("bicorn-pool", "bicorn-off")

SCENARIOS = (
    Scenario("hello-1", "Raw ASGI hello, 1 connection", "apps:hello", 1, _is_hello),
    Scenario("hello-64", "Raw ASGI hello, 64 connections", "apps:hello", 64, _is_hello),
    Scenario("hello-512", "Raw ASGI hello, 512 connections", "apps:hello", 512, _is_hello),
    Scenario("access-log", "Raw ASGI hello with the access log", "apps:hello", 64, _is_hello, access_log=True),
    Scenario("echo", "10 KiB POST, echoed", "apps:echo", 64, _bytes(UPLOAD), method="POST", body=UPLOAD),
    Scenario("mebibyte", "1 MiB response", "apps:mebibyte", 64, _bytes(apps.MEBIBYTE)),
    Scenario(
        "stream",
        "100 × 1 KiB streamed response",
        "apps:stream",
        64,
        _bytes(apps.STREAMED_CHUNK * apps.STREAMED_CHUNKS),
    ),
    Scenario("sleep", "await asyncio.sleep(0.01), 256 connections", "apps:sleep", 256, _is_hello),
    Scenario(
        "starlette-def",
        "Starlette JSON, def",
        "starlette_app:app",
        64,
        _is_json,
        path="/json-def",
        twin="starlette-json",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "starlette-json",
        "Starlette JSON, async def",
        "starlette_app:app",
        64,
        _is_json,
        path="/json",
        variants=("bicorn-off",),
    ),
    Scenario(
        "fastapi-def",
        "FastAPI JSON, def",
        "fastapi_app:app",
        64,
        _is_json,
        path="/json-def",
        twin="fastapi-json",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-json",
        "FastAPI JSON, async def",
        "fastapi_app:app",
        64,
        _is_json,
        path="/json",
        variants=("bicorn-off",),
    ),
    Scenario(
        "fastapi-params-def",
        "FastAPI with path and query parameters, def",
        "fastapi_app:app",
        64,
        _is_params,
        path="/items-def/42?q=horn&limit=5",
        twin="fastapi-params",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-params",
        "FastAPI with path and query parameters, async def",
        "fastapi_app:app",
        64,
        _is_params,
        path="/items/42?q=horn&limit=5",
    ),
    Scenario(
        "fastapi-model-def",
        "FastAPI POST with a pydantic model in and out, def",
        "fastapi_app:app",
        64,
        _json(ITEM),
        path="/items-def",
        method="POST",
        body=json.dumps(ITEM).encode(),
        content_type="application/json",
        twin="fastapi-model",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-model",
        "FastAPI POST with a pydantic model in and out, async def",
        "fastapi_app:app",
        64,
        _json(ITEM),
        path="/items",
        method="POST",
        body=json.dumps(ITEM).encode(),
        content_type="application/json",
    ),
    Scenario(
        "fastapi-deps-def",
        "FastAPI with two dependencies, def",
        "fastapi_app:app",
        64,
        _is_mine,
        path="/mine-def?token=token-unicorn&offset=20&limit=500",
        twin="fastapi-deps-async",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-deps-async",
        "FastAPI with two dependencies, async def",
        "fastapi_app:app",
        64,
        _is_mine,
        path="/mine?token=token-unicorn&offset=20&limit=500",
    ),
    Scenario(
        "fastapi-sleep-def",
        "FastAPI time.sleep(0.02), 40 connections, def",
        "fastapi_app:app",
        40,
        _is_json,
        path="/sleep-def",
        twin="fastapi-sleep-async",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-sleep-async",
        "FastAPI await asyncio.sleep(0.02), 40 connections, async def",
        "fastapi_app:app",
        40,
        _is_json,
        path="/sleep",
    ),
    Scenario(
        "fastapi-sql-def",
        "FastAPI reading a row of SQLite with SQLAlchemy, def",
        "sql_app:app",
        64,
        _is_user,
        path="/users-def/42",
        twin="fastapi-sql-async",
        variants=_SYNC_MODES,
    ),
    Scenario(
        "fastapi-sql-async",
        "FastAPI reading a row of SQLite with SQLAlchemy and aiosqlite, async def",
        "sql_app:app",
        64,
        _is_user,
        path="/users/42",
    ),
    Scenario(
        "ws-echo-64",
        "WebSocket echo of 64 B, 64 connections",
        "apps:websocket_echo",
        64,
        _is_hello,
        protocol="websocket",
        message_bytes=64,
    ),
    Scenario(
        "ws-echo-16k",
        "WebSocket echo of 16 KiB, 16 connections",
        "apps:websocket_echo",
        16,
        _is_hello,
        protocol="websocket",
        message_bytes=16 * 1024,
        is_binary=True,
    ),
    Scenario(
        "ws-echo-64-deflate",
        "WebSocket echo of 64 B with permessage-deflate, 64 connections",
        "apps:websocket_echo",
        64,
        _is_hello,
        protocol="deflate",
        message_bytes=64,
    ),
    Scenario("https-hello", "Raw ASGI hello over HTTPS/1.1, 64 connections", "apps:hello", 64, _is_hello, is_tls=True),
    Scenario(
        "h2-hello-tls",
        "Raw ASGI hello over HTTP/2 and TLS, 16 connections × 16 streams",
        "apps:hello",
        16,
        _is_hello,
        protocol="http2",
        streams=16,
        is_tls=True,
    ),
    Scenario(
        "h2-hello-clear",
        "Raw ASGI hello over HTTP/2 on clear, 16 connections × 16 streams",
        "apps:hello",
        16,
        _is_hello,
        protocol="http2",
        streams=16,
    ),
    Scenario("sse-100", "100 events by sse-starlette", "streaming_app:app", 64, _is_hundred_events, path="/events"),
    Scenario("file-1mib", "FileResponse of a 1 MiB file", "streaming_app:app", 64, _bytes(apps.MEBIBYTE), path="/file"),
)


def by_name(name: str) -> Scenario:
    """Find a row."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)

"""How programs embed a server: in a loop of theirs, as a whole or in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from tests import raw
from tests.apps import App, hello

Ask = Callable[[], bytes]


def make(module: ModuleType, app: App = hello, **options: Any) -> Any:
    """Make a server that leaves signals to pytest."""
    defaults = {"port": 0, "lifespan": "off", "log_config": None, "loop": "asyncio"}
    server = module.Server(module.Config(app, **{**defaults, **options}))
    server.capture_signals = contextlib.nullcontext
    return server


def port_of(server: Any) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def ask(port: int) -> bytes:
    with raw.Client(port=port) as client:
        return client.exchange(raw.request()).body


@asynccontextmanager
async def started(server: Any, sockets: list[socket.socket] | None = None) -> AsyncIterator[None]:
    """Start and end a server in pieces, as embedders do."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=sockets)
    try:
        yield
    finally:
        await server.shutdown(sockets=sockets)


class StartedServer:
    """Tells when `startup` is done; a mix-in for the class under test."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)  # type: ignore[misc]
        self.has_started.set()

    def prepare(self) -> Any:
        self.has_started = asyncio.Event()
        self.capture_signals = contextlib.nullcontext
        return self


def make_started(module: ModuleType, app: App = hello, **options: Any) -> Any:
    """Make a server inside a running loop, with an event `has_started`."""
    server_class: Any = type("Server", (StartedServer, module.Server), {})
    defaults = {"port": 0, "lifespan": "off", "log_config": None}
    return server_class(module.Config(app, **{**defaults, **options})).prepare()

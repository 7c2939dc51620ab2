"""The application under gunicorn, and workers as users write them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

from bicorn.workers import BicornWorker
from tests.apps import Receive, Scope, Send, body, length, start


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Say who answers and what is in the scope, after doing what the path asks for."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    seconds = float(scope["query_string"] or 0)
    if scope["path"] == "/sleep":
        _tell(scope)
        await asyncio.sleep(seconds)
    elif scope["path"] == "/block":
        _tell(scope)
        time.sleep(seconds)  # what must not be done in a coroutine
    said = {key: scope[key] for key in ("scheme", "client", "root_path", "http_version")}
    data = json.dumps({"pid": os.getpid(), **said}).encode()
    await send(start(headers=[length(data)]))
    await send(body(data))


def _tell(scope: Scope) -> None:
    print("began", scope["path"], os.getpid(), flush=True)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse to start."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def hanging_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Start never, the first time: `HANGS` names a file that is there until then."""
    flag = Path(os.environ["HANGS"])
    if scope["type"] == "lifespan" and flag.exists():
        flag.unlink()
        await asyncio.Event().wait()
    await app(scope, receive, send)


class PrefixWorker(BicornWorker):
    """A worker with options of its own."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"root_path": "/prefix", "timeout_keep_alive": 1}


class WrongWorker(BicornWorker):
    """A worker with an option that cannot be."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"lifespan": "on", "limit_request_head": -1}


class TellingWorker(BicornWorker):
    """A worker that overrides what uvicorn's worker lets users override."""

    def init_process(self) -> None:
        """Tell that it was called."""
        self.log.info("overridden: init_process")
        super().init_process()

    def init_signals(self) -> None:
        """Tell that it was called."""
        self.log.info("overridden: init_signals")
        super().init_signals()

    def run(self) -> None:
        """Tell that it was called."""
        self.log.info("overridden: run")
        super().run()

    async def _serve(self) -> None:
        self.log.info("overridden: _serve")
        await super()._serve()

    def _install_sigquit_handler(self) -> None:
        self.log.info("overridden: _install_sigquit_handler")
        super()._install_sigquit_handler()

    async def callback_notify(self) -> None:
        """Tell that it was called."""
        self.log.info("overridden: callback_notify")
        await super().callback_notify()

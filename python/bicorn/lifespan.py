"""The lifespan protocol: tell the app that the server starts and stops (ASGI lifespan 2.0).

The app runs once, in a task of its own that lives as long as the server, and so in a copy of the context:
requests do not see the context variables it sets. What it leaves behind for them is `state`, of which each
gets a shallow copy.

    startup()  ─▶ lifespan.startup  ─▶ app ─▶ lifespan.startup.complete | .failed   ─▶ serve, or exit
    shutdown() ─▶ lifespan.shutdown ─▶ app ─▶ lifespan.shutdown.complete | .failed  ─▶ end

An app that raises or returns early answers nothing more: both waits are over.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from bicorn._types import (
        LifespanApplication,
        LifespanReceiveEvent,
        LifespanScope,
        LifespanSendEvent,
    )
    from bicorn.config import Config

STATE_TRANSITION_ERROR = "Got invalid state transition on lifespan protocol."

SENT_TYPES = (
    "lifespan.startup.complete",
    "lifespan.startup.failed",
    "lifespan.shutdown.complete",
    "lifespan.shutdown.failed",
)


class LifespanOff:
    """No lifespan: the app is not called."""

    def __init__(self, config: Config) -> None:
        """Take what `LifespanOn` takes."""
        self.should_exit = False
        self.error: BaseException | None = None
        self.failure_message = ""
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        """Do nothing."""

    async def shutdown(self) -> None:
        """Do nothing."""


class LifespanOn:
    """Runs the app's lifespan; with `--lifespan auto` an app may be without one."""

    def __init__(self, config: Config) -> None:
        """Load the app if that has not been done."""
        if not config.loaded:
            config.load()
        self.config = config
        self.logger = logging.getLogger("uvicorn.error")
        # Set when the app has answered an event, or will never answer it.
        self.startup_event = asyncio.Event()
        self.shutdown_event = asyncio.Event()
        self.receive_queue: asyncio.Queue[LifespanReceiveEvent] = asyncio.Queue()
        # The app raised, which need not be a failure; the app said that it failed.
        self.error_occurred = False
        self.startup_failed = False
        self.shutdown_failed = False
        # For those who want to know why: what the app raised, and what it said when it failed.
        self.error: BaseException | None = None
        self.failure_message = ""
        self.should_exit = False
        self.state: dict[str, Any] = {}
        # The loop itself holds tasks weakly.
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the app and wait, without limit, until it is ready; `should_exit` tells that it failed."""
        self.logger.info("Waiting for application startup.")
        self._task = asyncio.get_running_loop().create_task(self.main())
        self.receive_queue.put_nowait({"type": "lifespan.startup"})
        await self.startup_event.wait()
        self._conclude("startup", self.startup_failed)

    async def shutdown(self) -> None:
        """Tell the app to end and wait for it, without limit."""
        if self.error_occurred:
            return
        self.logger.info("Waiting for application shutdown.")
        self.receive_queue.put_nowait({"type": "lifespan.shutdown"})
        await self.shutdown_event.wait()
        self._conclude("shutdown", self.shutdown_failed)

    def _conclude(self, phase: str, failed: bool) -> None:
        if failed or (self.error_occurred and self.config.lifespan == "on"):
            self.logger.error("Application %s failed. Exiting.", phase)
            self.should_exit = True
        else:
            self.logger.info("Application %s complete.", phase)

    async def main(self) -> None:
        """Run the app to its end, whatever that is."""
        app = cast("LifespanApplication", self.config.loaded_app)
        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            self.error_occurred = True
            self.error = error
            if self.startup_failed or self.shutdown_failed:
                return
            if self.config.lifespan == "auto":
                self.logger.info("ASGI 'lifespan' protocol appears unsupported.")
            else:
                self.logger.error("Exception in 'lifespan' protocol\n", exc_info=error)
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def receive(self) -> LifespanReceiveEvent:
        """Return the next event, for the app."""
        return await self.receive_queue.get()

    async def send(self, event: LifespanSendEvent) -> None:
        """Take the app's answer to an event.

        Raises:
            AssertionError: The type is unknown, or the answer comes too early or twice.
        """
        assert event["type"] in SENT_TYPES
        is_startup = event["type"].startswith("lifespan.startup.")
        assert self.startup_event.is_set() is not is_startup, STATE_TRANSITION_ERROR
        assert not self.shutdown_event.is_set(), STATE_TRANSITION_ERROR
        failed = event["type"].endswith(".failed")
        if is_startup:
            self.startup_failed = failed
            self.startup_event.set()
        else:
            self.shutdown_failed = failed
            self.shutdown_event.set()
        if failed and event.get("message"):
            self.failure_message = event["message"]
            self.logger.error(self.failure_message)

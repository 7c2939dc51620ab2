"""The gunicorn worker: `gunicorn -k bicorn.workers.BicornWorker main:app`.

gunicorn's arbiter binds the sockets, forks the workers and watches over them; a worker is one `Server` on those
sockets. What the arbiter and its workers say to each other is here, and how gunicorn's settings are called in
`Config`. Nothing here serves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from bicorn.config import Config
from bicorn.loops import run_in_new_loop
from bicorn.server import Server

if TYPE_CHECKING:
    import socket
    from types import FrameType

__all__ = ["BicornWorker"]

# How often the arbiter hears of a worker, where its timeout allows that. It counts from the last time: with a longer
# interval, a request that blocks the loop for less than the timeout could be taken for a dead worker. gunicorn's own
# workers have the same.
HEARTBEAT_SECONDS = 1.0

# How long idle connections of a worker that leaves are kept for their next request. A client that is just sending one
# needs a few milliseconds; while they are kept, nobody takes the place of a worker that has reached max_requests.
RETIRE_SECONDS = 1.0

# After this, a quick stop waits for nothing: not for a blocked event loop either. gunicorn kills after two seconds.
QUICK_STOP_SECONDS = 1.0

# What a worker needs after its own limit, before the arbiter kills it at graceful_timeout: to answer the requests that
# it has cancelled, and for the application's shutdown. At most; half of a short graceful_timeout.
MARGIN_SECONDS = 2

# gunicorn's settings that mean the same here, and their names. They count where they are set: gunicorn's own defaults
# are not all ours. Those that gunicorn 23 does not have are left out there.
SAME_SETTINGS = {
    "asgi_lifespan": "lifespan",
    "asgi_loop": "loop",
    "backlog": "backlog",
    "http2_initial_window_size": "http2_initial_stream_window",
    "http2_max_concurrent_streams": "http2_max_concurrent_streams",
    "http2_max_header_list_size": "http2_max_header_list",
    "limit_request_fields": "limit_request_fields",
    "limit_request_line": "limit_request_target",
    "root_path": "root_path",
    "ssl_version": "ssl_version",
    "websocket_max_message_size": "ws_max_size",
}

# Settings that somebody may rely on and that do nothing here, and what to do.
WITHOUT_EFFECT = {
    "access_log_format": "an access line is uvicorn's, '%s - \"%s %s HTTP/%s\" %d'",
    "proxy_protocol": "let the proxy send X-Forwarded-For",
    "ssl_context": "TLS is not Python's ssl; use certfile, keyfile, ca_certs, cert_reqs and ciphers",
    "threads": "def endpoints run in threads as in uvicorn; CONFIG_KWARGS = {'endpoint_threads': 40} says how many",
}


class BicornWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process; a subclass may set `CONFIG_KWARGS`, options of `Config` that win over gunicorn's."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {}

    # Set in the worker's process only.
    _server: WorkerServer | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _is_alive = True
    _is_stopping_quickly = False

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Warn, once for all workers, of settings that have no effect."""
        for name, instead in WITHOUT_EFFECT.items():
            if _is_set(cfg, name):
                log.warning("setting has no effect with %s: %s: %s", cls.__name__, name, instead)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the config; this is still in the arbiter's process, before it forks."""
        super().__init__(*args, **kwargs)
        for name, log in (("uvicorn.error", self.log.error_log), ("uvicorn.access", self.log.access_log)):
            logger = logging.getLogger(name)
            logger.handlers = log.handlers
            logger.setLevel(log.level)
            logger.propagate = False
        self.config = Config(**{**self._options(), **self.CONFIG_KWARGS})

    def _options(self) -> dict[str, Any]:
        cfg = self.cfg
        options = {
            # Known once it is imported, in the worker's process.
            "app": None,
            "log_config": None,
            "workers": 1,
            "forwarded_allow_ips": cfg.forwarded_allow_ips,
            # With gunicorn's jitter already in it.
            "limit_max_requests": self.max_requests if cfg.max_requests > 0 else None,
            "timeout_keep_alive": cfg.keepalive,
            "timeout_graceful_shutdown": cfg.graceful_timeout - min(MARGIN_SECONDS, (cfg.graceful_timeout + 1) // 2),
            # The arbiter gives half of its timeout, and 0 if it has none: then only the parent is looked at.
            "timeout_notify": min(self.timeout, HEARTBEAT_SECONDS) or HEARTBEAT_SECONDS,
            "callback_notify": self.callback_notify,
        }
        if cfg.is_ssl:
            options |= {
                "ssl_keyfile": cfg.keyfile,
                "ssl_certfile": cfg.certfile,
                "ssl_ca_certs": cfg.ca_certs,
                "ssl_cert_reqs": cfg.cert_reqs,
                "ssl_ciphers": cfg.ciphers,
            }
        same = {ours: cfg.settings[theirs].value for theirs, ours in SAME_SETTINGS.items() if _is_set(cfg, theirs)}
        return options | same

    @property
    def alive(self) -> bool:
        """Whether the worker is to go on; gunicorn, its reloader and users' hooks set it to False to end it."""
        return self._is_alive

    @alive.setter
    def alive(self, value: bool) -> None:
        self._is_alive = value
        if not value and self._server is not None:
            self._server.should_exit = True

    def init_signals(self) -> None:
        """Let gunicorn's handlers answer until the server has its own."""
        super().init_signals()
        # gunicorn's workers wait for a pipe that nobody reads here: the event loop has its own.
        signal.set_wakeup_fd(-1)

    def load_wsgi(self) -> None:
        """Import the application."""
        super().load_wsgi()
        # With --reload, gunicorn makes a WSGI application of a syntax error, which shows it.
        if self.reloader is not None and getattr(self.wsgi, "__module__", None) == "gunicorn.util":
            self.config.interface = "wsgi"

    def run(self) -> None:
        """Serve in a new event loop."""
        # What goes wrong before the server has started would go wrong again: the arbiter is to stop, not to try again.
        self.booted = False
        run_in_new_loop(self._serve, self.config.get_loop_factory())

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self._loop = asyncio.get_running_loop()
        self._server = server = WorkerServer(self.config, on_interrupt=self.handle_quit)
        self._install_sigquit_handler()
        if not self.alive:
            server.should_exit = True
        try:
            await server.serve(sockets=self.sockets)
        finally:
            self.booted = server.started
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _install_sigquit_handler(self) -> None:
        # Not the loop's: it must interrupt a loop that is blocked, too.
        signal.signal(signal.SIGQUIT, self.handle_quit)

    async def callback_notify(self) -> None:
        """Tell the arbiter that the event loop turns, and see whether there still is an arbiter."""
        self.notify()
        if self.alive and os.getppid() != self.ppid:
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End without waiting for requests, nor for the application's shutdown."""
        # A terminal sends SIGINT to the workers, too, and the arbiter then SIGQUIT.
        if self._is_stopping_quickly:
            return
        self._is_stopping_quickly = True
        timer = threading.Timer(QUICK_STOP_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()
        self.alive = False
        self.cfg.worker_int(self)
        if self._server is None or not self._server.started:
            sys.exit(0)
        self._server.force_exit = True

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """Reopen the log files: between two callbacks, as a signal may come in the middle of a line."""
        reopen = partial(super().handle_usr1, sig, frame)
        if self._loop is None or self._loop.is_closed():
            reopen()
        else:
            self._loop.call_soon_threadsafe(reopen)


class WorkerServer(Server):
    """A server of which others listen on the same sockets, and whose process a signal ends by ending the server."""

    def __init__(self, config: Config, on_interrupt: Any) -> None:
        """Pass SIGINT, which is a graceful end for uvicorn and a quick one for gunicorn, to `on_interrupt`."""
        super().__init__(config)
        self._on_interrupt = on_interrupt

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, and let the worker's process end by returning, so that gunicorn's worker_exit hook is called."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()
        if sig == signal.SIGINT:
            self._on_interrupt(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave idle connections time for a request that is on its way."""
        self.retire(grace=RETIRE_SECONDS)
        await super().shutdown(sockets=sockets)


def _is_set(cfg: Any, name: str) -> bool:
    setting = cfg.settings.get(name)
    return setting is not None and bool(setting.value != type(setting).default)

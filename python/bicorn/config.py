"""`Config`: every option of one server, uvicorn's object with uvicorn's names.

Values that a command line can hold are validated in Rust (`Settings`); what only Python can hold stays here:
the app, the logging configuration, the loop factory. Nothing here serves or forks.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from bicorn._bicorn import Settings
from bicorn._types import HTTPProtocolType, InterfaceType, LifespanType, LoopFactoryType, WSProtocolType
from bicorn.asgi import ASGI2Middleware, MessageLoggerMiddleware, detect_interface
from bicorn.constants import (
    HTTP_PROTOCOLS,
    INTERFACES,
    LIFESPAN,
    LOG_LEVELS,
    LOGGING_CONFIG,
    LOOP_FACTORIES,
    SSL_PROTOCOL_VERSION,
    STARTUP_FAILURE,
    TRACE_LOG_LEVEL,
    WS_PROTOCOLS,
)
from bicorn.environment import load_env_file, web_concurrency
from bicorn.errors import ConfigError
from bicorn.importer import ImportFromStringError, import_from_string
from bicorn.log_config import apply_log_config, level_number, with_colors
from bicorn.uvicorn_config import UvicornConfig, UvicornDeprecationWarning, option_of
from bicorn.watched_files import WatchedFiles

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from bicorn._types import ASGIApplication, AsgiSpecType, PathsType, SyncEndpointsType
    from bicorn.lifespan import LifespanOff, LifespanOn
    from bicorn.log_config import LogConfig
    from bicorn.loops import LoopFactory

__all__ = [
    "HTTP_PROTOCOLS",
    "INTERFACES",
    "LIFESPAN",
    "LOGGING_CONFIG",
    "LOG_LEVELS",
    "LOOP_FACTORIES",
    "SSL_PROTOCOL_VERSION",
    "STARTUP_FAILURE",
    "TRACE_LOG_LEVEL",
    "WS_PROTOCOLS",
    "Config",
    "ConfigError",
    "HTTPProtocolType",
    "InterfaceType",
    "LifespanType",
    "LoopFactoryType",
    "UvicornDeprecationWarning",
    "WSProtocolType",
]

logger = logging.getLogger("uvicorn.error")


class Config(UvicornConfig):
    """The options of one server, and what they stand for once loaded."""

    def __init__(
        self,
        app: ASGIApplication | Callable[..., Any] | str,
        host: str = "127.0.0.1",
        port: int = 8000,
        uds: str | None = None,
        fd: int | None = None,
        loop: LoopFactoryType | str = "auto",
        http: HTTPProtocolType | str = "auto",
        http2: bool = True,
        ws: WSProtocolType = "auto",
        ws_max_size: int = 16_777_216,
        ws_max_queue: int | None = 32,
        ws_ping_interval: float | None = 20.0,
        ws_ping_timeout: float | None = 20.0,
        ws_per_message_deflate: bool = True,
        lifespan: LifespanType = "auto",
        env_file: str | os.PathLike[str] | None = None,
        log_config: LogConfig | None = LOGGING_CONFIG,
        log_level: str | int | None = None,
        access_log: bool = True,
        use_colors: bool | None = None,
        interface: InterfaceType = "auto",
        reload: bool = False,
        reload_dirs: list[str] | str | None = None,
        reload_delay: float = 0.25,
        reload_includes: list[str] | str | None = None,
        reload_excludes: list[str] | str | None = None,
        workers: int | None = None,
        proxy_headers: bool = True,
        server_header: bool = True,
        date_header: bool = True,
        forwarded_allow_ips: list[str] | str | None = None,
        root_path: str = "",
        limit_concurrency: int | None = None,
        limit_max_requests: int | None = None,
        limit_max_requests_jitter: int = 0,
        backlog: int = 2048,
        timeout_keep_alive: int = 5,
        timeout_notify: int = 30,
        timeout_graceful_shutdown: int | None = None,
        timeout_worker_healthcheck: int = 5,
        callback_notify: Callable[..., Awaitable[None]] | None = None,
        ssl_keyfile: PathsType = None,
        ssl_certfile: PathsType = None,
        ssl_keyfile_password: str | None = None,
        ssl_version: int = SSL_PROTOCOL_VERSION,
        ssl_cert_reqs: int = 0,
        ssl_ca_certs: str | os.PathLike[str] | None = None,
        ssl_ciphers: str | None = None,
        ssl_context_factory: Callable[..., Any] | None = None,
        headers: list[tuple[str, str]] | None = None,
        factory: bool = False,
        h11_max_incomplete_event_size: int | None = None,
        reset_contextvars: bool = False,
        *,
        preload: bool = False,
        admin_bind: str | None = None,
        drain_delay: float = 0.0,
        asgi_spec: AsgiSpecType = "2.3",
        io_threads: int = 1,
        sync_endpoints: SyncEndpointsType = "auto",
        endpoint_threads: int | None = None,
        limit_request_head: int = 65_536,
        limit_request_fields: int = 100,
        limit_request_target: int = 16_384,
        timeout_request_head: float = 10.0,
        timeout_request_body: float = 30.0,
        timeout_write: float = 30.0,
        timeout_tls_handshake: float = 10.0,
        http2_max_concurrent_streams: int = 100,
        http2_initial_stream_window: int = 65_536,
        http2_initial_connection_window: int = 1_048_576,
        http2_max_header_list: int = 65_536,
        http2_timeout_idle: float = 75.0,
        http2_ping_interval: float = 20.0,
        http2_ping_timeout: float = 20.0,
    ) -> None:
        """Keep the options, configure logging and read the env-file: all before the app is imported.

        Raises:
            ConfigError: The log-config or the env-file cannot be used, or options exclude each other.
        """
        self.app = app
        # None, which only a program can give, is every address.
        self.host: str | None = host
        self.port = port
        self.uds = uds
        self.fd = fd
        self.loop = loop
        self.http = option_of(http, HTTP_PROTOCOLS)
        self.http2 = http2
        self.ws = option_of(ws, WS_PROTOCOLS)
        self.ws_max_size = ws_max_size
        self.ws_max_queue = ws_max_queue
        self.ws_ping_interval = ws_ping_interval
        self.ws_ping_timeout = ws_ping_timeout
        self.ws_per_message_deflate = ws_per_message_deflate
        self.lifespan = lifespan
        self.log_config = log_config
        self.log_level = log_level
        self.access_log = access_log
        self.use_colors = use_colors
        self.interface = interface
        self.reload = reload
        self.reload_delay = reload_delay
        self.workers = workers or 1
        self.proxy_headers = proxy_headers
        self.server_header = server_header
        self.date_header = date_header
        self.root_path = root_path
        self.limit_concurrency = limit_concurrency
        self.limit_max_requests = limit_max_requests
        self.limit_max_requests_jitter = limit_max_requests_jitter
        self.backlog = backlog
        self.timeout_keep_alive = timeout_keep_alive
        self.timeout_notify = timeout_notify
        self.timeout_graceful_shutdown = timeout_graceful_shutdown
        self.timeout_worker_healthcheck = timeout_worker_healthcheck
        self.callback_notify = callback_notify
        self.ssl_keyfile = ssl_keyfile
        self.ssl_certfile = ssl_certfile
        self.ssl_keyfile_password = ssl_keyfile_password
        self.ssl_version = ssl_version
        self.ssl_cert_reqs = ssl_cert_reqs
        self.ssl_ca_certs = ssl_ca_certs
        self.ssl_ciphers = ssl_ciphers
        self.ssl_context_factory = ssl_context_factory
        self.headers: list[tuple[str, str]] = headers or []
        self.factory = factory
        self.h11_max_incomplete_event_size = h11_max_incomplete_event_size
        self.reset_contextvars = reset_contextvars
        self.preload = preload
        self.admin_bind = admin_bind
        self.drain_delay = drain_delay
        self.asgi_spec = asgi_spec
        self.io_threads = io_threads
        self.sync_endpoints = sync_endpoints
        self.endpoint_threads = endpoint_threads
        self.limit_request_head = limit_request_head
        self.limit_request_fields = limit_request_fields
        self.limit_request_target = limit_request_target
        self.timeout_request_head = timeout_request_head
        self.timeout_request_body = timeout_request_body
        self.timeout_write = timeout_write
        self.timeout_tls_handshake = timeout_tls_handshake
        self.http2_max_concurrent_streams = http2_max_concurrent_streams
        self.http2_initial_stream_window = http2_initial_stream_window
        self.http2_initial_connection_window = http2_initial_connection_window
        self.http2_max_header_list = http2_max_header_list
        self.http2_timeout_idle = http2_timeout_idle
        self.http2_ping_interval = http2_ping_interval
        self.http2_ping_timeout = http2_ping_timeout

        # What `load` makes.
        self.loaded = False
        self.settings: Settings
        self.encoded_headers: list[tuple[bytes, bytes]] = []
        self.lifespan_class: type[LifespanOn] | type[LifespanOff]
        self.loaded_app: Any

        # This order is visible in the log, and what the env-file sets counts below it.
        self.configure_logging()
        self.log_what_has_no_meaning()
        watched = WatchedFiles(self.should_reload, reload_dirs, reload_includes, reload_excludes)
        self.reload_dirs = watched.dirs
        self.reload_dirs_excludes = watched.dirs_excludes
        self.reload_includes = watched.includes
        self.reload_excludes = watched.excludes
        if env_file is not None:
            load_env_file(env_file)
        if workers is None:
            self.workers = web_concurrency()
        self.forwarded_allow_ips: list[str] | str = (
            os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
            if forwarded_allow_ips is None
            else forwarded_allow_ips
        )
        if self.reload and self.workers > 1:
            logger.warning('"workers" flag is ignored when reloading is enabled.')
        if self.reload and self.preload:
            raise ConfigError("cannot use preload with reload: what is imported once is never imported again")

    @property
    def asgi_version(self) -> Literal["2.0", "3.0"]:
        """The `scope["asgi"]["version"]` that the app expects."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def is_ssl(self) -> bool:
        """Whether TLS is spoken."""
        return bool(self.ssl_keyfile or self.ssl_certfile or self.ssl_context_factory)

    @property
    def should_reload(self) -> bool:
        """Whether a reloader starts the server: it can import the app again only by its name."""
        return self.reload and isinstance(self.app, str)

    @property
    def use_subprocess(self) -> bool:
        """Whether other processes serve."""
        return bool(self.reload or self.workers > 1)

    def configure_logging(self) -> None:
        """Apply `log_config`, then the options that override a part of it.

        Raises:
            ConfigError: `log_config` names a file that cannot be used, or `log_level` is unknown.
        """
        logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
        if isinstance(self.log_config, os.PathLike):
            self.log_config = os.fspath(self.log_config)
        if isinstance(self.log_config, dict) and self.use_colors in (True, False):
            self.log_config = with_colors(self.log_config, self.use_colors)
        if self.log_config is not None:
            apply_log_config(self.log_config)
        if self.log_level is not None:
            level = level_number(self.log_level)
            for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
                logging.getLogger(name).setLevel(level)
        if not self.access_log:
            access_logger = logging.getLogger("uvicorn.access")
            access_logger.handlers = []
            access_logger.propagate = False

    def load_settings(self) -> Settings:
        """Validate the options, and read the files of certificates and keys.

        Raises:
            ValueError: An option has a value it cannot have, or such a file cannot be used.
        """
        if self.ssl_context_factory is not None:
            raise ConfigError(
                "cannot use ssl_context_factory: TLS is rustls, not Python's ssl; give ssl_certfile and ssl_keyfile"
                " (lists for SNI; changed files are read again), ssl_ca_certs and ssl_cert_reqs instead"
            )
        settings = Settings.from_config(self)
        settings.load_tls()
        return settings

    def load_app(self) -> Any:
        """Import the app and return it; log the reason and exit if it is not there."""
        try:
            return import_from_string(self.app)
        except ImportFromStringError as error:
            logger.error("Error loading ASGI app. %s", error)
            sys.exit(STARTUP_FAILURE)

    def load(self) -> None:
        """Make of the options what the server needs: once, before it starts.

        Raises:
            ValueError: An option has a value it cannot have.
        """
        assert not self.loaded
        self.settings = self.load_settings()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        if self.server_header and not any(name == b"server" for name, _ in headers):
            headers.insert(0, (b"server", b"bicorn"))
        self.encoded_headers = headers
        self.lifespan_class = import_from_string(LIFESPAN[self.lifespan])
        self.loaded_app = self._call_if_factory(self.load_app())
        if self.interface == "auto":
            self.interface = detect_interface(self.loaded_app)
        self._wrap_app()
        self.loaded = True

    def _call_if_factory(self, app: Callable[[], object]) -> object:
        """Call the app without arguments: a factory returns the app, an app raises TypeError."""
        try:
            made = app()
        except TypeError as error:
            if self.factory:
                logger.error("Error loading ASGI app factory: %s", error)
                sys.exit(STARTUP_FAILURE)
            return app
        if not self.factory:
            logger.warning(
                "ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly."
            )
        return made

    def _wrap_app(self) -> None:
        """Give the app the shape of ASGI 3, and trace it. Proxy headers are Rust's."""
        if self.interface == "wsgi":
            try:
                from a2wsgi import WSGIMiddleware
            except ImportError:
                from bicorn.wsgi import WSGIMiddleware  # type: ignore[assignment]  # other class
            self.loaded_app = WSGIMiddleware(self.loaded_app)
        elif self.interface == "asgi2":
            self.loaded_app = ASGI2Middleware(self.loaded_app)
        if logger.getEffectiveLevel() <= TRACE_LOG_LEVEL:
            self.loaded_app = MessageLoggerMiddleware(self.loaded_app)

    def get_loop_factory(self) -> LoopFactory | None:
        """Return what makes the loop, None for asyncio's choice; log the reason and exit if it is missing."""
        name = self.loop
        try:
            if name not in LOOP_FACTORIES:
                factory: LoopFactory = import_from_string(name)
                return factory
            choose = import_from_string(LOOP_FACTORIES[name])
        except ImportFromStringError as error:
            logger.error("Error loading custom loop setup function. %s", error)
            sys.exit(STARTUP_FAILURE)
        try:
            return None if choose is None else choose(use_subprocess=self.use_subprocess)
        except ImportError as error:
            logger.error("cannot use --loop %s: %s", name, error)
            sys.exit(STARTUP_FAILURE)

    def bind_socket(self) -> socket.socket:
        """Bind the one socket that worker processes share; see `listeners.bind_shared_socket`."""
        from bicorn.listeners import bind_shared_socket

        return bind_shared_socket(self)

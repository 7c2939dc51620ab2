"""The command line, and `run`: start one server and turn its end into an exit code.

`import bicorn` loads this file, so it imports nothing that costs: the rest comes when a server is started.
"""

from __future__ import annotations

import os
import sys

from bicorn.constants import LOGGING_CONFIG, SSL_PROTOCOL_VERSION, STARTUP_FAILURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bicorn._types import (
        ASGIApplication,
        AsgiSpecType,
        HTTPProtocolType,
        InterfaceType,
        LifespanType,
        LoopFactoryType,
        PathsType,
        SyncEndpointsType,
        WSProtocolType,
    )
    from bicorn.config import Config
    from bicorn.log_config import LogConfig


def __getattr__(name: str) -> object:
    """Find `Server` and `Config` here too, without importing them for `import bicorn`."""
    if name in ("Config", "Server"):
        import bicorn

        value: object = getattr(bicorn, name)
        return value
    if name == "ServerState":
        import warnings

        from bicorn.server_state import ServerState

        # Programs look for it in `uvicorn.main`; there is no other reason for it to be here.
        text = "uvicorn.main.ServerState is deprecated, use uvicorn.server.ServerState instead."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return ServerState
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Command:
    """The command line as a function, `main(["app:app"])`, with the face of the click command that uvicorn has."""

    name = "main"

    def __call__(self, *args: Any, **extra: Any) -> object:
        """Do what `main` does."""
        return self.main(*args, **extra)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> object:
        """Run a command line, given without the program's name; None takes that of this process.

        The parameters are click's; what is not used here has no meaning.

        Args:
            standalone_mode: Whether the process ends with the command. If not, a command line that asks for help
                returns its exit code, 0, and a server that has ended returns None.

        Raises:
            SystemExit: The end, if `standalone_mode`. Else the command line was wrong, or the server did not start.
        """
        import platform

        from bicorn._bicorn import CommandLineExit, parse_command_line

        runtime = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
        try:
            options = parse_command_line(sys.argv[1:] if args is None else args, os.environ, runtime)
        except CommandLineExit as leave:
            text, code, to_stderr = leave.args
            (sys.stderr if to_stderr else sys.stdout).write(text)
            if code == 0 and not standalone_mode:
                return code
            sys.exit(code)
        # What was not given keeps the default of `run`.
        given = {name: value for name, value in options.items() if value is not None}
        try:
            run(given.pop("app"), **given)
        except Exception:
            # The app's own import raised: the traceback says where. A supervisor that tried again would meet it again.
            sys.excepthook(*sys.exc_info())
            sys.exit(STARTUP_FAILURE)
        if standalone_mode:
            sys.exit(0)
        return None

    @staticmethod
    def callback(app: str, **options: Any) -> None:
        """Do what `run` does, with `headers` as the command line has them: a list of `name:value`."""
        headers = options.pop("headers", None) or ()
        run(app, headers=[tuple(header.split(":", 1)) for header in headers], **options)

    def __getattr__(self, name: str) -> object:
        raise AttributeError(
            f"{__name__}.main has no {name}: it is not a click command; it has main, callback and name"
        )


main = Command()


def run(
    app: ASGIApplication | Callable[..., Any] | str,
    *,
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
    interface: InterfaceType = "auto",
    reload: bool = False,
    reload_dirs: list[str] | str | None = None,
    reload_includes: list[str] | str | None = None,
    reload_excludes: list[str] | str | None = None,
    reload_delay: float = 0.25,
    workers: int | None = None,
    env_file: str | os.PathLike[str] | None = None,
    log_config: LogConfig | None = LOGGING_CONFIG,
    log_level: str | int | None = None,
    access_log: bool = True,
    proxy_headers: bool = True,
    server_header: bool = True,
    date_header: bool = True,
    forwarded_allow_ips: list[str] | str | None = None,
    root_path: str = "",
    limit_concurrency: int | None = None,
    backlog: int = 2048,
    limit_max_requests: int | None = None,
    limit_max_requests_jitter: int = 0,
    timeout_keep_alive: int = 5,
    timeout_graceful_shutdown: int | None = None,
    timeout_worker_healthcheck: int = 5,
    ssl_keyfile: PathsType = None,
    ssl_certfile: PathsType = None,
    ssl_keyfile_password: str | None = None,
    ssl_version: int = SSL_PROTOCOL_VERSION,
    ssl_cert_reqs: int = 0,
    ssl_ca_certs: str | os.PathLike[str] | None = None,
    ssl_ciphers: str | None = None,
    ssl_context_factory: Callable[..., Any] | None = None,
    headers: list[tuple[str, str]] | None = None,
    use_colors: bool | None = None,
    app_dir: str | None = None,
    factory: bool = False,
    h11_max_incomplete_event_size: int | None = None,
    reset_contextvars: bool = False,
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
    show_lanes: bool = False,
) -> None:
    """Serve an app, or what its import string names, until a signal ends it.

    The options are those of `Config`. `app_dir` is where to look for the app: "" is the current directory,
    None leaves `sys.path` alone. `show_lanes` prints which way each route's requests go instead of serving them.

    Raises:
        SystemExit: With code 3; the server did not start, and stderr says why.
    """
    options = {**locals()}
    del options["app_dir"], options["show_lanes"]
    if app_dir is not None:
        sys.path.insert(0, app_dir)

    from contextlib import suppress

    from bicorn.config import Config, ConfigError, logger
    from bicorn.server import Server

    try:
        config = Config(**options)
    except ConfigError as error:
        # Logging may be what could not be configured.
        print(error, file=sys.stderr)
        sys.exit(STARTUP_FAILURE)
    try:
        config.load_settings()
    except ValueError as error:
        logger.error(error)
        sys.exit(STARTUP_FAILURE)
    if config.use_subprocess and not isinstance(config.app, str):
        logger.warning("You must pass the application as an import string to enable 'reload' or 'workers'.")
        sys.exit(STARTUP_FAILURE)
    if show_lanes:
        from bicorn.sync_endpoints import format_lanes, plan_lanes

        config.load()
        print(format_lanes(plan_lanes(config.loaded_app)).rstrip())
        return
    # Raised by a SIGINT that has been answered.
    with suppress(KeyboardInterrupt):
        if config.use_subprocess:
            _supervise(config)
        else:
            # Before there is a loop: the app's modules may run loops of their own while they are imported.
            config.load_app()
            server = Server(config)
            server.run()
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def _supervise(config: Config) -> None:
    """Bind the socket and have other processes serve it; exit with 3 if they cannot."""
    from contextlib import suppress

    from bicorn import supervisors
    from bicorn.server import Server

    listener = config.bind_socket()
    try:
        if config.should_reload:
            supervisors.ChangeReload(config, target=Server(config).run, sockets=[listener]).run()
        else:
            supervisor = supervisors.Multiprocess(config, sockets=[listener])
            supervisor.run()
            if supervisor.has_failed:
                sys.exit(STARTUP_FAILURE)
    finally:
        if config.uds is not None:
            with suppress(FileNotFoundError):
                os.remove(config.uds)

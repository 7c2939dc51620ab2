"""The Rust half of bicorn. Only `main`, `config`, `server`, `supervisors`, `threads` and `logging` touch it."""

from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from contextvars import Context
from typing import Any, final

__all__ = [
    "AccessLogTarget",
    "AdminListener",
    "Board",
    "ClientDisconnected",
    "CommandLineExit",
    "Heartbeat",
    "HttpServer",
    "Settings",
    "__version__",
    "call_here",
    "is_driving",
    "parse_command_line",
    "to_loop",
]

__version__: str

class ClientDisconnected(OSError):
    """Raised by `send()` once the client is gone: of a WebSocket, and of HTTP with `--asgi-spec 2.5`."""

class CommandLineExit(Exception):
    """Asks the caller to print `text` and leave: `--help`, `--version`, or a bad command line.

    `args` is `(text, code, to_stderr)`; `text` ends with a line feed.
    """

def parse_command_line(arguments: Sequence[str], environment: Mapping[str, str], runtime: str) -> dict[str, Any]:
    """Parse the command line (without the program's name) into the keyword arguments of `bicorn.run`.

    Args:
        environment: Where `BICORN_*` and `UVICORN_*` are looked up; arguments win, then BICORN_*.
        runtime: What `--version` says it runs with, such as "CPython 3.13.0 on Linux".

    Raises:
        CommandLineExit: There is something to print instead of a server to run.
    """

def to_loop() -> Awaitable[None]:
    """Return what to await in order to go on in the event loop: free there, a move from an endpoint thread."""

def is_driving() -> bool:
    """Tell whether this is an endpoint thread that drives a request, and not within the user's function."""

def call_here(function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None = None) -> Any:
    """Call a function here and now, in a copy of the current context."""

@final
class Settings:
    """The validated options of one server."""

    @staticmethod
    def from_config(config: object) -> Settings:
        """Read every option from the attribute of its name; absent attributes keep their default.

        Raises:
            ValueError: An option has a value it cannot have; the text names the option and the value.
        """
    def load_tls(self) -> None:
        """Read the certificates and keys that the options name, if any.

        Raises:
            ValueError: A file cannot be used; the text names it.
        """

@final
class AccessLogTarget:
    """Where Rust may write access lines itself, and what must still hold for that to be the same as logging."""

    def __new__(
        cls,
        *,
        fd: int,
        use_colors: bool,
        watches: Sequence[tuple[object, str, object]],
        lengths: Sequence[tuple[list[Any], int]],
    ) -> AccessLogTarget: ...

@final
class AdminListener:
    """The management listener: /livez, /readyz and /metrics, on a thread of its own."""

    def __new__(cls, board: Board, listeners: Sequence[int]) -> AdminListener:
        """Serve on duplicates of the descriptors of bound, listening sockets."""
    def close(self) -> None:
        """End its connections and its thread. May be called twice."""

@final
class Board:
    """Numbers that the workers of a service share: a slot for each, which the worker writes and everybody may read.

    It is memory, not a message: what a worker wrote stays there when its process is gone. Counters of a slot live on
    with the next worker that has it; its gauges begin again when it is free, or "starting".
    """

    def __new__(cls, slots: int) -> Board:
        """Make a board; processes that inherit `fileno()` can attach to it.

        Raises:
            ValueError: Not a number of slots that there can be.
        """
    @staticmethod
    def attach(fd: int) -> Board:
        """Return the board that another process has made. The descriptor stays the caller's.

        Raises:
            OSError: There is no board of this version behind it.
        """
    def fileno(self) -> int:
        """Return the descriptor of the memory; not inheritable unless it is made so."""
    @property
    def slots(self) -> int: ...
    def free(self, slot: int) -> None:
        """Say that a worker is gone, however it went: its gauges are zero from now on."""
    def set_state(self, slot: int, name: str) -> None:
        """Say where a worker is in its life: "free", "starting", "ready" or "leaving"."""
    def state(self, slot: int) -> str: ...
    @property
    def is_draining(self) -> bool:
        """Whether the whole service is about to end."""
    def set_draining(self, is_draining: bool) -> None: ...
    def count_restart(self, cause: str) -> None:
        """Note that a worker is replaced: "exit", "signal", "memory", "hung", "limit", "hangup" or "reload"."""
    def restarts(self, cause: str) -> int: ...
    def connections(self, slot: int) -> dict[str, int]:
        """Return the worker's open connections by what is spoken: "http/1" (or nothing yet), "http/2", "websocket"."""
    def accepted(self, slot: int) -> int:
        """Return how many connections workers with this slot have accepted."""
    def stalled_for(self, slot: int) -> float:
        """Return for how many seconds the worker's loop was woken and has not begun, or has not come to an end."""
    def turn(self, slot: int) -> int:
        """Return how often the worker's loop has begun to work on what arrived."""
    def total_requests(self, slot: int) -> int:
        """Return how many responses workers with this slot have completed."""

@final
class Heartbeat:
    """Answers a supervisor's pings from a thread that never attaches: a busy interpreter does not stop it."""

    def __new__(cls, fd: int) -> Heartbeat:
        """Echo every byte of a blocking stream socket, through a duplicate of `fd`, until its other end is closed."""

@final
class HttpServer:
    """I/O threads, their connections, and the hand-off to one event loop."""

    def __new__(
        cls,
        settings: Settings,
        app: Callable[..., Any],
        *,
        asgi_version: str,
        state: dict[str, Any],
        default_headers: Sequence[tuple[bytes, bytes]],
        run_asgi: Callable[..., Awaitable[None]],
        error_logger: object,
        access_logger: object,
        access_log_target: AccessLogTarget | None,
        request_limit: int | None,
        on_change: Callable[[], object],
        resume: Callable[..., Awaitable[None]],
        on_other_app: Callable[[], object],
        board: Board | None = None,
        slot: int = 0,
    ) -> HttpServer:
        """Start nothing yet.

        Args:
            board: Where others see how the server does, in `slot`; without one, it keeps its numbers to itself.
        """
    def start(self, loop: AbstractEventLoop, context: Context, listeners: Sequence[int]) -> None:
        """Duplicate the listening sockets' descriptors and serve them; `loop` must be running in this thread."""
    def stop_listening(self) -> None:
        """Accept what the kernel already completed, then close the listeners; `is_listening` turns false."""
    def drain(self) -> None:
        """Close idle connections; busy ones close after the response in flight."""
    def retire(self) -> None:
        """Close connections after their next exchange: idle ones are kept for it, until their deadline."""
    def cancel_tasks(self, message: str) -> int:
        """Cancel every running request task and return how many there were."""
    def use_endpoint_threads(
        self, *, context: Context, enter: Callable[[], object], limiter: object, locals: object
    ) -> None:
        """Have endpoint threads: call it before `start`.

        Args:
            context: What the context of each request that is driven there is a copy of.
            enter: Called in each new thread; what it returns stands for the thread among the limiter's borrowers.
            limiter: anyio's. Its `total_tokens` is how many threads there may be, looked at again and again.
            locals: Where `current_cancel_scope` is set for a call that has one.
        """
    def open_lanes(
        self,
        routes: Sequence[tuple[Sequence[str] | None, Sequence[tuple[str, str]] | None, str, bool]],
        root_path: str | None,
        guards: Sequence[Sized],
    ) -> None:
        """Send requests of proven routes to endpoint threads.

        Args:
            routes: `(methods, parts, name, is_proven)` in the order of matching; see `bicorn.sync_endpoints.RouteLane`.
            root_path: What stands in the scope when routes are matched; None: the server's.
            guards: The lanes close when one has another length than it has now, or where it has `attributes`, a list of
                (object, attribute, expected), when one of those is another object; then `on_other_app` is called.
        """
    def has_token(self) -> bool:
        """Whether anyio's limiter has a token for another call: whatever runs in an endpoint thread holds one."""
    def call_in_thread(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        context: Context,
        scope: object | None,
        key: int,
    ) -> Future[Any] | None:
        """Call a function in an endpoint thread; None when there is no room.

        Args:
            scope: The cancel scope that `anyio.from_thread.check_cancelled` looks at.
            key: Stands for the function: whether it blocks is learned from its calls.
        """
    @property
    def endpoint_figures(self) -> tuple[int, int, int, int, int, float]:
        """Endpoint threads: how many, how many busy, their limit, jobs queued, jobs taken, seconds those had waited."""
    def close(self) -> None:
        """End every connection and the I/O threads. May be called twice."""
    @property
    def is_listening(self) -> bool: ...
    @property
    def connections(self) -> int:
        """Open connections."""
    @property
    def tasks(self) -> int:
        """Running request tasks."""
    @property
    def total_requests(self) -> int:
        """Responses completed since `start`."""

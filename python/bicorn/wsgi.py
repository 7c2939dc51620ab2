"""WSGI apps, for those who run one without having a2wsgi installed.

The app runs in a thread. What it yields is sent at once and each send is waited for, so a slow peer slows the
app down and fills no memory.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication

    from bicorn._types import Event, Receive, Scope, Send

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

# uvicorn's number.
WORKER_THREADS = 10


class WSGIMiddleware:
    """Gives a WSGI app the shape of ASGI 3; HTTP only."""

    def __init__(self, app: WSGIApplication, workers: int = WORKER_THREADS) -> None:
        """Wrap an app; it runs `workers` requests at once, more wait for a thread."""
        self.app = app
        self.executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole request body, then run the app in a thread."""
        assert scope["type"] == "http"
        environ = build_environ(scope, await _read_body(receive))
        loop = asyncio.get_running_loop()

        def send_and_wait(event: Event) -> None:
            asyncio.run_coroutine_threadsafe(_send(send, event), loop).result()

        response = Response(send_and_wait)
        context = contextvars.copy_context()
        await loop.run_in_executor(self.executor, context.run, response.run, self.app, environ)


async def _send(send: Send, event: Event) -> None:
    await send(event)


async def _read_body(receive: Receive) -> io.BytesIO:
    body = io.BytesIO()
    more_body = True
    while more_body:
        event = await receive()
        body.write(event.get("body", b""))
        more_body = event.get("more_body", False)
    body.seek(0)
    return body


class Response:
    """One response, written by the app's thread."""

    def __init__(self, send_and_wait: Callable[[Event], None]) -> None:
        """Take a function that sends an event and blocks until it is on its way."""
        self._send = send_and_wait
        # Held back until the first piece of the body, for the app may replace it (PEP 3333,
        # "start_response").
        self._head: Event | None = None
        self._head_is_sent = False

    def run(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        """Call the app and send what it yields."""
        pieces = app(environ, self.start_response)
        try:
            for piece in pieces:
                if piece:
                    self.write(piece)
            self._send_head()
            self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            # PEP 3333: whether the iteration ended or broke off.
            if hasattr(pieces, "close"):
                pieces.close()

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Set status and headers, for the app; with `exc_info` again, as long as they have not been sent."""
        if exc_info is not None and exc_info[1] is not None and self._head_is_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self._head = {
            "type": "http.response.start",
            "status": int(status.split(" ", 1)[0]),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        }
        return self.write

    def write(self, piece: bytes) -> None:
        """Send a piece of the body."""
        self._send_head()
        self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def _send_head(self) -> None:
        if self._head_is_sent:
            return
        if self._head is None:
            raise AssertionError("the WSGI app sent a body before it called start_response")
        self._head_is_sent = True
        self._send(self._head)


def build_environ(scope: Scope, body: io.BytesIO) -> dict[str, Any]:
    """Translate a scope (PEP 3333, "environ Variables")."""
    script_name = _wsgi_text(scope.get("root_path", ""))
    path = _wsgi_text(scope["path"])
    host, port = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path.removeprefix(script_name),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        # A Unix socket has no port, and WSGI has no way to say so.
        "SERVER_PORT": "" if port is None else str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if client := scope.get("client"):
        environ["REMOTE_ADDR"] = client[0]
    for name_bytes, value_bytes in scope.get("headers", ()):
        name = name_bytes.decode("latin-1").upper().replace("-", "_")
        key = name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"
        value = value_bytes.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _wsgi_text(text: str) -> str:
    """Make text of which each character stands for a byte (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")

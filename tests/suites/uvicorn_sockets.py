"""uvicorn's tests of its HTTP protocols, over sockets: what stands in the place of `get_connected_protocol`.

Their protocol object gets bytes, runs one request after the other and shows what was written to a mock of a transport.
Here, a server in a thread gets the bytes from a socket, and what comes back is what was written. Default headers are
off, as with the mocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import select
import socket
import threading
from typing import Any

from bicorn import Config, Server
from bicorn.lifespan import LifespanOff

# What comes, comes at once; this is for busy machines.
ANSWER_SECONDS = 10.0
# How long a connection that may be closed is watched. A close that is announced gets all the time it needs.
CLOSE_SECONDS = 0.3
# In the place of 5, the default: tests say how much time has passed, and wait.
KEEP_ALIVE_SECONDS = 3

OPTIONS = {
    "port": 0,
    "lifespan": "off",
    "loop": "asyncio",
    "date_header": False,
    "server_header": False,
    "timeout_keep_alive": KEEP_ALIVE_SECONDS,
}

running: list[Conversation] = []


def get_connected_protocol(app: Any, http_protocol_cls: type, lifespan: Any = None, **options: Any) -> Conversation:
    """Begin a conversation with a server of its own, which knows only one HTTP protocol."""
    conversation = Conversation(Config(app, **{**OPTIONS, **options}), lifespan)
    running.append(conversation)
    conversation.begin()
    return conversation


def end_all() -> None:
    """End the conversations of a test."""
    while running:
        running.pop().end()


class Conversation:
    """A connection and its server, with the face of a protocol object."""

    def __init__(self, config: Config, lifespan: Any) -> None:
        config.load()
        self._app = config.loaded_app
        config.loaded_app = self._run_app
        if lifespan is not None:
            off = LifespanOff(config)
            off.state = lifespan.state
            config.lifespan_class = lambda _: off  # type: ignore[assignment]
        self._server = Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._begun_calls, self._ended_calls = threading.Semaphore(0), threading.Semaphore(0)
        self._is_head = False
        self._is_waiting = False
        self._is_gone = False
        self.loop = self
        self.transport = self
        self.scope: Any = None
        self._received = b""
        # How much of it are complete responses.
        self._complete = 0
        self._cleared = 0
        self._is_closed = False

    async def _run_app(self, scope: Any, receive: Any, send: Any) -> Any:
        self.scope = scope
        self._begun_calls.release()
        try:
            return await self._app(scope, receive, send)
        finally:
            self._ended_calls.release()

    def begin(self) -> None:
        """Start the server, without a word in the log, and connect."""
        startup, ready = self._server.startup, threading.Event()

        async def start(sockets: Any = None) -> None:
            await startup(sockets)
            ready.set()

        self._server.startup = start  # type: ignore[method-assign]
        with _silent():
            self._thread.start()
            assert ready.wait(ANSWER_SECONDS), "the server did not start"
        self._socket = socket.create_connection(self._server.servers[0].sockets[0].getsockname())

    def end(self) -> None:
        with _silent():
            self._socket.close()
            self._server.force_exit = self._server.should_exit = True
            self._thread.join(ANSWER_SECONDS)
        assert not self._thread.is_alive(), "the server did not end"

    # The protocol: what comes from the client.

    def data_received(self, data: bytes) -> None:
        self._is_head = data.startswith(b"HEAD ")
        # The rest of a request that has been answered already gets no answer.
        self._is_waiting = not self._complete or b" HTTP/" in data.partition(b"\r\n")[0]
        # The server may have refused what came before.
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def eof_received(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def connection_lost(self, _: object) -> None:
        self._socket.close()
        self._is_gone = True

    def shutdown(self) -> None:
        if self._is_waiting:
            # A request on its way is to be there before the end begins.
            self._read_response()
        self._server.should_exit = True

    # The loop: the next request.

    async def run_one(self) -> None:
        await asyncio.to_thread(self._run_one)

    def _run_one(self) -> None:
        if not self._is_gone:
            self._read_response()
        # Not every answer is the app's.
        if self._begun_calls.acquire(timeout=ANSWER_SECONDS if self._is_gone else 0):
            assert self._ended_calls.acquire(timeout=ANSWER_SECONDS), "the app did not end"

    def run_later(self, with_delay: float) -> None:
        """Let time pass; as much as a keep-alive timeout is, so that it is over."""
        if with_delay >= 5:
            self._watch_for_close(2 * KEEP_ALIVE_SECONDS)

    # The transport: what was written.

    @property
    def buffer(self) -> bytes:
        if self._is_waiting:
            self._read_response()
        return self._received[self._cleared : self._complete]

    def clear_buffer(self) -> None:
        self._cleared = self._complete

    def is_closing(self) -> bool:
        if self._is_waiting:
            self._read_response()
        is_announced = re.search(rb"(?i)\r\nconnection:[^\r]*close", self._received[self._cleared :]) is not None
        self._watch_for_close(ANSWER_SECONDS if is_announced else CLOSE_SECONDS)
        return self._is_closed

    def _watch_for_close(self, seconds: float) -> None:
        while not self._is_closed and select.select([self._socket], [], [], seconds)[0]:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(64 * 1024)
        except ConnectionError:
            data = b""
        self._received += data
        self._is_closed = not data

    def _read_response(self) -> None:
        """Read on until there is one complete response more, or the end."""
        self._is_waiting = False
        self._socket.settimeout(ANSWER_SECONDS)
        while not self._is_closed:
            end = _end_of_response(self._received, self._complete, self._is_head)
            if end is not None:
                self._complete = end
                return
            self._receive()
        self._complete = len(self._received)


def _end_of_response(data: bytes, begin: int, is_head: bool) -> int | None:
    """Return where the response that begins there ends, interim ones with it; None if not all of it is there."""
    end_of_head = data.find(b"\r\n\r\n", begin) + 4
    if end_of_head < begin + 4:
        return None
    head = data[begin:end_of_head].lower()
    status = int(head.split(b" ", 2)[1][:3])
    if status < 200:
        return _end_of_response(data, end_of_head, is_head)
    if is_head or status in (204, 304):
        return end_of_head
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    if length is not None:
        end = end_of_head + int(length[1])
        return end if end <= len(data) else None
    if b"\r\ntransfer-encoding:" in head:
        # No content of these tests looks like a last chunk.
        last = data.find(b"0\r\n\r\n", end_of_head)
        return None if last < 0 else last + 5
    return None


@contextlib.contextmanager
def _silent() -> Any:
    logger = logging.getLogger("uvicorn.error")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False

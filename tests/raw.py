"""A client of bytes: sends exactly what a test says and parses answers strictly.

Blocking, one socket each. A parser that forgives would hide the server's mistakes, so anything RFC 9112 does not allow
in a response raises `BadResponse`.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

# Long enough for a loaded two-core machine, short enough that a hung server fails the test and not the suite.
DEFAULT_TIMEOUT_SECONDS = 5.0

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class BadResponse(AssertionError):
    """The server sent something that is not an HTTP/1 response."""


class Closed(BadResponse):
    """The server closed before the response was whole; `args[1]` is what came."""


class StillOpen(AssertionError):
    """The server should have closed the connection and has not; `args[1]` is what came."""


@dataclass
class Response:
    """One response as it was on the wire."""

    minor_version: int
    status: int
    reason: bytes
    # In wire order, names in wire case.
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    # "length", "chunked", "close" or "none" (HEAD, 1xx, 204, 304).
    framing: str = "none"
    # The size of each chunk, without the last one of size 0.
    chunk_sizes: list[int] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of every line of that name."""
        return [value for line_name, value in self.headers if line_name.lower() == name.lower()]

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the only line of that name, or None."""
        values = self.all(name)
        if len(values) > 1:
            raise BadResponse(f"{len(values)} lines of {name!r}", values)
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether the response says that the connection ends after it."""
        return any(b"close" in [token.strip().lower() for token in v.split(b",")] for v in self.all(b"connection"))


def request(
    method: str = "GET",
    target: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    *,
    version: str = "1.1",
    host: str | None = "test",
    chunks: Iterable[bytes] | None = None,
) -> bytes:
    """Build a request; `body` adds Content-Length, `chunks` adds Transfer-Encoding: chunked."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines.extend(f"{name}: {value}" for name, value in headers)
    content = b""
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
        content = b"".join(chunk(piece) for piece in chunks) + chunk(b"")
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
        content = body
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def chunk(data: bytes) -> bytes:
    """Frame one chunk; empty data makes the last chunk with an empty trailer section."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Client:
    """One TCP (or Unix) connection to a server.

    Args:
        timeout: Seconds each read and write may take.
        receive_buffer: SO_RCVBUF in bytes, set before the connect so that the window stays small.
        uds: Path of a Unix socket, instead of host and port.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        receive_buffer: int | None = None,
        uds: str | None = None,
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX if uds else socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # What has been read from the socket and not yet parsed.
        self.buffer = bytearray()
        try:
            if uds is not None:
                self.socket.connect(uds)
            else:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        """The client's own end, as the server should see it."""
        name = self.socket.getsockname()
        return name[0], name[1]

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """Send a FIN and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close with a FIN (an RST if unread bytes are in the kernel)."""
        self.socket.close()

    def exchange(self, data: bytes, *, method: str | None = None) -> Response:
        """Send a request and read its response (interim responses are not skipped)."""
        self.send(data)
        return self.response(method=method or data.split(b" ", 1)[0].decode("latin-1"))

    def response(self, *, method: str = "GET") -> Response:
        """Read one response, 1xx included; `method` decides whether a body can follow."""
        response = self.response_head()
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return response
        codings = response.all(b"transfer-encoding")
        length = response.header(b"content-length")
        if codings:
            if [coding.lower() for coding in codings] != [b"chunked"] or length is not None:
                raise BadResponse("transfer-encoding is not exactly chunked", response.headers)
            response.framing = "chunked"
            self._chunked_body(response)
        elif length is not None:
            if not length.isdigit():
                raise BadResponse("bad content-length", length)
            response.framing = "length"
            response.body = self.exactly(int(length))
        else:
            response.framing = "close"
            response.body = self.read_until_closed()
        return response

    def response_head(self) -> Response:
        """Read up to the empty line and no further."""
        head = self.until(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        match = STATUS_LINE.fullmatch(start)
        if match is None:
            raise BadResponse("bad status line", start)
        return Response(int(match[1]), int(match[2]), match[3], [_field(line) for line in lines])

    def _chunked_body(self, response: Response) -> None:
        pieces: list[bytes] = []
        while True:
            line = self.until(b"\r\n")
            if CHUNK_SIZE.fullmatch(line) is None:
                raise BadResponse("bad chunk size", line)
            size = int(line, 16)
            if size == 0:
                break
            response.chunk_sizes.append(size)
            pieces.append(self.exactly(size))
            if (end := self.exactly(2)) != b"\r\n":
                raise BadResponse("chunk data does not end in CRLF", end)
        while line := self.until(b"\r\n"):
            response.trailers.append(_field(line))
        response.body = b"".join(pieces)

    def until(self, mark: bytes) -> bytes:
        """Read through `mark` and return what stands before it."""
        searched = 0
        while (at := self.buffer.find(mark, searched)) < 0:
            searched = max(0, len(self.buffer) - len(mark) + 1)
            self._read_some()
        data = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return data

    def exactly(self, count: int) -> bytes:
        """Read `count` bytes."""
        while len(self.buffer) < count:
            self._read_some()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _read_some(self) -> None:
        data = self.socket.recv(64 * 1024)
        if not data:
            raise Closed("closed before the response was whole", bytes(self.buffer))
        self.buffer += data

    def read_until_closed(self) -> bytes:
        """Read to the server's FIN; a reset raises ConnectionResetError, silence raises TimeoutError."""
        while data := self.socket.recv(64 * 1024):
            self.buffer += data
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def wait_closed(self, deadline: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
        """Read until the server closed with FIN or RST, for at most `deadline` seconds, and return what came.

        Raises:
            StillOpen: The connection is open after `deadline`.
        """
        end = time.monotonic() + deadline
        before = self.socket.gettimeout()
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                try:
                    data = self.socket.recv(64 * 1024)
                except ConnectionError:
                    break
                except TimeoutError:
                    continue
                if not data:
                    break
                self.buffer += data
            else:
                raise StillOpen(f"open after {deadline} s", bytes(self.buffer))
        finally:
            self.socket.settimeout(before)
        received = bytes(self.buffer)
        self.buffer.clear()
        return received

    def silent_for(self, seconds: float) -> bool:
        """Whether the server neither sends nor closes for that long (time itself is under test)."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(before)
        return False


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or FIELD_NAME.fullmatch(name) is None:
        raise BadResponse("bad header line", line)
    if any(byte < 0x20 and byte != 0x09 for byte in value) or b"\x7f" in value:
        raise BadResponse("control byte in a header value", line)
    return name, value.strip(b" \t")

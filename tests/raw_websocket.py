"""A client of WebSocket frames: sends exactly what a test says, legal or not, and parses what comes back strictly.

Blocking. It speaks over anything that has `send(data)` and `exactly(count)`: a `raw.Client` after the handshake
of `connect`, or a `raw_http2.Tunnel` (RFC 8441). Pings are answered unless a test says otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tests import raw
from tests.raw import BadResponse

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# What a deflated message's last four bytes are, which the wire leaves out (RFC 7692 §7.2.1).
FLUSH_TAIL = b"\x00\x00\xff\xff"
DEFLATE = "permessage-deflate"
# Any key will do, and one that is known keeps a failure readable.
MASK = b"\x5a\x3c\x96\xa5"


class Pipe(Protocol):
    """What frames travel through."""

    def send(self, data: bytes) -> None:
        """Send all of `data`."""

    def exactly(self, count: int) -> bytes:
        """Read `count` bytes."""


@dataclass(frozen=True)
class Frame:
    """One frame as it was on the wire."""

    opcode: int
    payload: bytes
    fin: bool
    is_deflated: bool


@dataclass(frozen=True)
class Close:
    """What a close frame says; code 1005 if it is empty."""

    code: int
    reason: str


class Refused(AssertionError):
    """The handshake was answered with something else than 101; `response` has it."""

    def __init__(self, response: raw.Response) -> None:
        super().__init__(f"the handshake was answered with {response.status}", response.headers)
        self.response = response


def handshake(
    path: str = "/",
    *headers: tuple[str, str],
    key: str = "dGhlIHNhbXBsZSBub25jZQ==",
    version: str = "13",
    host: str | None = "test",
    protocols: str | None = None,
    extensions: str | None = None,
) -> bytes:
    """Build an HTTP/1.1 opening handshake; `headers` are added to it."""
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", key)]
    fields.append(("Sec-WebSocket-Version", version))
    if protocols is not None:
        fields.append(("Sec-WebSocket-Protocol", protocols))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    return raw.request("GET", path, [*fields, *headers], host=host)


def accept_value(key: str) -> bytes:
    """Compute what the server must answer to a key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + ACCEPT_GUID).digest())


def frame_head(opcode: int, length: int, *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """Build the head of a frame that declares `length` bytes; `rsv` 4 is the bit that says deflated."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask is not None else 0
    if length < 126:
        size = bytes([masked | length])
    elif length < 65_536:
        size = bytes([masked | 126]) + length.to_bytes(2, "big")
    else:
        size = bytes([masked | 127]) + length.to_bytes(8, "big")
    return bytes([first]) + size + (mask or b"")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """Build a whole frame, masked as a client must unless `mask` is None."""
    head = frame_head(opcode, len(payload), fin=fin, rsv=rsv, mask=mask)
    return head + (payload if mask is None else masked(payload, mask))


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    """Mask a payload, or take the mask off again."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def close_payload(code: int, reason: str = "") -> bytes:
    """Build what a close frame carries."""
    return code.to_bytes(2, "big") + reason.encode()


def deflated(data: bytes, *, level: int = zlib.Z_DEFAULT_COMPRESSION) -> bytes:
    """Deflate one message for the wire, with a fresh window."""
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(FLUSH_TAIL)


class WebSocket:
    """An open WebSocket.

    Args:
        pipe: Where frames go and come from.
        response: The answer to the handshake.
        extensions: What the answer's Sec-WebSocket-Extensions says.
    """

    def __init__(self, pipe: Pipe, response: raw.Response | None = None, extensions: str = "") -> None:
        self.pipe = pipe
        self.response = response
        self.extensions = extensions
        self.answers_pings = True
        self.pongs: list[bytes] = []
        parameters = [part.strip() for part in extensions.split(";")]
        self.is_deflate = parameters[0] == DEFLATE
        self._forgets = "server_no_context_takeover" in parameters
        self._inflater = zlib.decompressobj(wbits=-15)
        self._deflater = zlib.compressobj(wbits=-_window_bits(parameters, "client_max_window_bits"))

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """Send one masked frame."""
        self.pipe.send(frame(opcode, payload, fin=fin, rsv=rsv))

    def send(self, message: str | bytes) -> None:
        """Send a message in one frame, not deflated."""
        self.send_frame(TEXT if isinstance(message, str) else BINARY, _encoded(message))

    def send_deflated(self, message: str | bytes) -> None:
        """Send a message in one frame, deflated with the window that earlier messages left."""
        data = self._deflater.compress(_encoded(message)) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        self.send_frame(TEXT if isinstance(message, str) else BINARY, data.removesuffix(FLUSH_TAIL), rsv=4)

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame; None sends an empty one."""
        self.send_frame(CLOSE, b"" if code is None else close_payload(code, reason))

    def read_frame(self) -> Frame:
        """Read one frame of any kind."""
        first, second = self.pipe.exactly(2)
        if second & 0x80:
            raise BadResponse("the server masked a frame (RFC 6455 §5.1)")
        if first & 0x30 or (first & 0x40 and not self.is_deflate):
            raise BadResponse("a reserved bit is set", first)
        length = second & 0x7F
        if length > 125:
            if first & 0x08:
                raise BadResponse("a control frame longer than 125 bytes", length)
            length = int.from_bytes(self.pipe.exactly(2 if length == 126 else 8), "big")
        return Frame(first & 0x0F, self.pipe.exactly(length), bool(first & 0x80), bool(first & 0x40))

    def read(self) -> str | bytes | Close:
        """Read the next message or the close, answering pings on the way."""
        opcode = is_deflated = None
        pieces: list[bytes] = []
        while True:
            one = self.read_frame()
            if one.opcode == CLOSE:
                return _close(one.payload)
            if one.opcode == PING:
                if self.answers_pings:
                    self.send_frame(PONG, one.payload)
                continue
            if one.opcode == PONG:
                self.pongs.append(one.payload)
                continue
            if (one.opcode == CONTINUATION) != bool(pieces):
                raise BadResponse("fragments out of order", one)
            if not pieces:
                opcode, is_deflated = one.opcode, one.is_deflated
            pieces.append(one.payload)
            if one.fin:
                break
        data = b"".join(pieces)
        if is_deflated:
            data = self._inflated(data)
        return data.decode() if opcode == TEXT else data

    def _inflated(self, data: bytes) -> bytes:
        inflated = self._inflater.decompress(data + FLUSH_TAIL)
        if self._forgets:
            self._inflater = zlib.decompressobj(wbits=-15)
        return inflated


@contextmanager
def connect(
    host: str, port: int, path: str = "/", *headers: tuple[str, str], tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[WebSocket]:
    """Open a WebSocket over HTTP/1.1 from entry to exit; `options` are those of `handshake` and `raw.Client`.

    Raises:
        Refused: The server answered with something else than 101.
    """
    client_options = {name: options.pop(name) for name in ("timeout", "receive_buffer") if name in options}
    options.setdefault("key", base64.b64encode(os.urandom(16)).decode())
    with raw.Client(host, port, **client_options) as client:
        if tls is not None:
            client.socket = tls.wrap_socket(client.socket, server_hostname="localhost")
        client.send(handshake(path, *headers, **options))
        response = client.response_head()
        if response.status != 101:
            raise Refused(response)
        if response.header(b"sec-websocket-accept") != accept_value(options["key"]):
            raise BadResponse("wrong sec-websocket-accept", response.headers)
        yield WebSocket(client, response, (response.header(b"sec-websocket-extensions") or b"").decode())


def _window_bits(parameters: list[str], name: str) -> int:
    values = [part.partition("=")[2].strip() for part in parameters if part.partition("=")[0].strip() == name]
    # zlib makes raw deflate with 9 bits or more; a window of 8 is a subset that no test asks for.
    return int(values[0].strip('"')) if values and values[0] else 15


def _encoded(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(1005, "")
    if len(payload) < 2:
        raise BadResponse("a close frame of one byte", payload)
    return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode())

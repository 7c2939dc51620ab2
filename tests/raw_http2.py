"""A client of HTTP/2 frames: sends exactly what a test says, legal or not, and files what comes back by stream.

Blocking, one socket each. `http2_frames.py` builds what is sent, so a test can send any bytes; what is received goes
through `hpack`, because a server may compress as it likes. SETTINGS and PING are acknowledged unless a test says
otherwise; flow-control credit is given back as data comes, unless `grants` is off.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import hpack

from tests import http2_frames as h2
from tests.http2_frames import Field, Frame
from tests.raw import DEFAULT_TIMEOUT_SECONDS, BadResponse, Closed, StillOpen


@dataclass
class Response:
    """What a stream has brought so far."""

    status: int = 0
    headers: list[Field] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: list[Field] = field(default_factory=list)
    # Heads with a status below 200, in order.
    interim: list[tuple[int, list[Field]]] = field(default_factory=list)
    is_ended: bool = False
    # The error code of the server's RST_STREAM.
    reset: int | None = None
    # Bytes the server lets us send on this stream; set when the stream opens.
    credit: int = h2.INITIAL_WINDOW_BYTES

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self.is_ended or self.reset is not None

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the only field of that name, or None."""
        values = [value for field_name, value in self.headers if field_name == name]
        if len(values) > 1:
            raise BadResponse(f"{len(values)} fields of {name!r}", values)
        return values[0] if values else None


@dataclass(frozen=True)
class GoAway:
    """The server's last word."""

    last_stream: int
    error: int
    debug: bytes


def client_context(*protocols: str) -> ssl.SSLContext:
    """Make a TLS context that trusts anybody and offers these protocols by ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class Client:
    """One HTTP/2 connection to a server.

    Args:
        timeout: Seconds each read and write may take.
        tls: Context to speak TLS with, such as `client_context("h2")`; None speaks on clear, with prior knowledge.
        initial: Our SETTINGS.
        receive_buffer: SO_RCVBUF in bytes.
        opens: Send preface and SETTINGS at once.
        grants: Give credit back for each DATA frame. Without it the server can send 64 KiB and no more.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
        initial: Mapping[int, int] | None = None,
        receive_buffer: int | None = None,
        opens: bool = True,
        grants: bool = True,
    ) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.buffer = bytearray()
        self.grants = grants
        # Whether SETTINGS and PING of the server are acknowledged.
        self.acknowledges = True
        # By stream id, for every stream the server spoke on and each opened by `request`.
        self.streams: dict[int, Response] = {}
        self.goaway: GoAway | None = None
        # The server's SETTINGS, once it has sent them.
        self.server_settings: dict[int, int] | None = None
        self.pings_acknowledged: list[bytes] = []
        self.settings_acknowledged = 0
        self.next_stream = 1
        self._credit = h2.INITIAL_WINDOW_BYTES
        self._initial_credit = h2.INITIAL_WINDOW_BYTES
        self._decoder = hpack.Decoder()
        # The stream of a header block that has not ended, its flags, and what there is of it.
        self._block: tuple[int, int, bytearray] | None = None
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.connect((host, port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            if opens:
                self.send(h2.PREFACE + h2.settings(initial))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, without a GOAWAY."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.socket.sendall(data)

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *fields: Field,
        end_stream: bool = True,
        scheme: bytes = b"http",
    ) -> int:
        """Open a stream and return its id."""
        stream = self.open_stream()
        self.send(h2.headers(stream, h2.request_block(method, path, *fields, scheme=scheme), end_stream=end_stream))
        return stream

    def open_stream(self) -> int:
        """Take the next stream id, for a test that sends the frames itself."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.streams[stream] = Response(credit=self._initial_credit)
        return stream

    def exchange(
        self, method: bytes = b"GET", path: bytes = b"/", *fields: Field, body: bytes | None = None
    ) -> Response:
        """Send a request and read its response."""
        stream = self.request(method, path, *fields, end_stream=body is None)
        if body is not None:
            self.send_body(stream, body)
        return self.response(stream)

    def send_body(self, stream: int, data: bytes, *, end_stream: bool = True) -> None:
        """Send DATA as far as the server's windows let it go, waiting for credit."""
        view = memoryview(data)
        response = self.streams[stream]
        while view:
            while (room := min(self._credit, response.credit, h2.MAX_FRAME_BYTES, len(view))) <= 0:
                self.pump()
            self._credit -= room
            response.credit -= room
            self.send(h2.frame(h2.DATA, 0, stream, bytes(view[:room])))
            view = view[room:]
        if end_stream:
            self.send(h2.frame(h2.DATA, h2.END_STREAM, stream))

    def response(self, stream: int) -> Response:
        """Read until the stream ends or is reset."""
        while not self.streams[stream].is_over:
            self.pump()
        return self.streams[stream]

    def head(self, stream: int) -> Response:
        """Read until the final head of the stream is there, or the stream is over."""
        while not (self.streams[stream].status or self.streams[stream].is_over):
            self.pump()
        return self.streams[stream]

    def ping(self, payload: bytes = b"bicorn42") -> None:
        """Send a PING and wait for its acknowledgement: all that was sent before has been handled."""
        self.send(h2.frame(h2.PING, payload=payload))
        while payload not in self.pings_acknowledged:
            self.pump()
        self.pings_acknowledged.remove(payload)

    def wait_settings(self) -> dict[int, int]:
        """Read until the server's SETTINGS have come."""
        while self.server_settings is None:
            self.pump()
        return self.server_settings

    def wait_goaway(self, deadline: float = DEFAULT_TIMEOUT_SECONDS) -> GoAway:
        """Read until GOAWAY; an end without one raises `Closed`, silence raises `StillOpen`."""
        end = time.monotonic() + deadline
        while self.goaway is None:
            try:
                self.pump(max(0.01, end - time.monotonic()))
            except TimeoutError:
                raise StillOpen(f"no GOAWAY in {deadline} s", self.streams) from None
            if time.monotonic() > end and self.goaway is None:
                raise StillOpen(f"no GOAWAY in {deadline} s", self.streams)
        return self.goaway

    def wait_closed(self, deadline: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Read until the server has closed the connection, with FIN or RST."""
        end = time.monotonic() + deadline
        while (left := end - time.monotonic()) > 0:
            try:
                self.pump(left)
            except (Closed, ConnectionError):
                return
            except TimeoutError:
                break
        raise StillOpen(f"open after {deadline} s", self.goaway)

    def pump(self, timeout: float | None = None) -> Frame:
        """Read one frame, file what it says, and return it.

        Raises:
            Closed: The server closed the connection.
            TimeoutError: Nothing whole came in time.
        """
        one = self._read_frame(timeout)
        if self._block is not None and (one.kind != h2.CONTINUATION or one.stream != self._block[0]):
            raise BadResponse("a header block was interrupted", one)
        if one.kind == h2.DATA:
            self._on_data(one)
        elif one.kind in (h2.HEADERS, h2.CONTINUATION):
            self._on_header_block(one)
        elif one.kind == h2.RST_STREAM:
            self._stream(one).reset = int.from_bytes(one.payload, "big")
        elif one.kind == h2.SETTINGS:
            self._on_settings(one)
        elif one.kind == h2.PING:
            self._on_ping(one)
        elif one.kind == h2.GOAWAY:
            last, error = (int.from_bytes(one.payload[at : at + 4], "big") for at in (0, 4))
            self.goaway = GoAway(last & 0x7FFF_FFFF, error, one.payload[8:])
        elif one.kind == h2.WINDOW_UPDATE:
            self._on_window_update(one)
        return one

    def _read_frame(self, timeout: float | None) -> Frame:
        head = self._peek(h2.FRAME_HEADER_BYTES, timeout)
        length = int.from_bytes(head[:3], "big")
        if length > h2.MAX_FRAME_BYTES:
            raise BadResponse(f"a frame of {length} bytes", head)
        whole = self._peek(h2.FRAME_HEADER_BYTES + length, timeout)
        del self.buffer[: len(whole)]
        stream = int.from_bytes(whole[5:9], "big") & 0x7FFF_FFFF
        return Frame(whole[3], whole[4], stream, whole[h2.FRAME_HEADER_BYTES :])

    def _peek(self, count: int, timeout: float | None) -> bytes:
        before = self.socket.gettimeout()
        self.socket.settimeout(before if timeout is None else timeout)
        try:
            while len(self.buffer) < count:
                data = self.socket.recv(64 * 1024)
                if not data:
                    raise Closed("closed by the server", bytes(self.buffer))
                self.buffer += data
        finally:
            self.socket.settimeout(before)
        return bytes(self.buffer[:count])

    def _acknowledge(self, data: bytes) -> None:
        # A server that has closed may still have said why: what it sent is read on.
        if self.acknowledges:
            with contextlib.suppress(ConnectionError):
                self.send(data)

    def _stream(self, one: Frame) -> Response:
        return self.streams.setdefault(one.stream, Response(credit=self._initial_credit))

    def _on_data(self, one: Frame) -> None:
        padding = 1 + one.payload[0] if one.flags & h2.PADDED else 0
        response = self._stream(one)
        response.body += one.payload[min(padding, 1) : len(one.payload) - max(0, padding - 1)]
        response.is_ended |= bool(one.flags & h2.END_STREAM)
        if self.grants and one.payload:
            self.send(h2.window_update(len(one.payload)) + h2.window_update(len(one.payload), one.stream))

    def _on_header_block(self, one: Frame) -> None:
        if one.kind == h2.HEADERS:
            if one.flags & (h2.PADDED | h2.PRIORITY_FLAG):
                raise BadResponse("padding or priority, which a server has no need of", one)
            self._block = (one.stream, one.flags, bytearray())
        if self._block is None:
            raise BadResponse("CONTINUATION of nothing", one)
        stream, flags, block = self._block
        block += one.payload
        if not one.flags & h2.END_HEADERS:
            return
        self._block = None
        fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(bytes(block), raw=True)]
        response = self.streams.setdefault(stream, Response(credit=self._initial_credit))
        _file_fields(response, fields)
        response.is_ended |= bool(flags & h2.END_STREAM)

    def _on_settings(self, one: Frame) -> None:
        if one.flags & h2.ACK:
            self.settings_acknowledged += 1
            return
        values = {
            int.from_bytes(one.payload[at : at + 2], "big"): int.from_bytes(one.payload[at + 2 : at + 6], "big")
            for at in range(0, len(one.payload), 6)
        }
        self.server_settings = {**(self.server_settings or {}), **values}
        if h2.INITIAL_WINDOW_SIZE in values:
            change = values[h2.INITIAL_WINDOW_SIZE] - self._initial_credit
            self._initial_credit += change
            for response in self.streams.values():
                response.credit += change
        self._acknowledge(h2.frame(h2.SETTINGS, h2.ACK))

    def _on_ping(self, one: Frame) -> None:
        if one.flags & h2.ACK:
            self.pings_acknowledged.append(one.payload)
        else:
            self._acknowledge(h2.frame(h2.PING, h2.ACK, payload=one.payload))

    def _on_window_update(self, one: Frame) -> None:
        increment = int.from_bytes(one.payload, "big")
        if one.stream == 0:
            self._credit += increment
        else:
            self._stream(one).credit += increment


def _file_fields(response: Response, fields: list[Field]) -> None:
    if response.status:
        response.trailers = fields
        return
    (name, status), *rest = fields
    if name != b":status":
        raise BadResponse("the first field is not :status", fields)
    if status.startswith(b"1"):
        response.interim.append((int(status), rest))
    else:
        response.status, response.headers = int(status), rest


class Tunnel:
    """One stream as a pipe of bytes, once an extended CONNECT (RFC 8441) has been accepted on it."""

    def __init__(self, client: Client, stream: int) -> None:
        self.client = client
        self.stream = stream

    def send(self, data: bytes) -> None:
        """Send DATA."""
        self.client.send_body(self.stream, data, end_stream=False)

    def exactly(self, count: int) -> bytes:
        """Read `count` bytes."""
        response = self.client.streams[self.stream]
        while len(response.body) < count:
            if response.is_over:
                raise Closed("the stream ended", bytes(response.body))
            self.client.pump()
        data = bytes(response.body[:count])
        del response.body[:count]
        return data

"""HTTP/2 frames and plain HPACK (literals, no Huffman), built byte by byte: a test may send what no library would.

`raw_http2.py` is the client that sends them and reads the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
MAX_FRAME_BYTES = 16_384
INITIAL_WINDOW_BYTES = 65_535

# Frame types (RFC 9113 §6).
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
# Flags: the first two are one bit, by frame type.
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY_FLAG = 0x4, 0x8, 0x20
# Settings (RFC 9113 §6.5.2, RFC 8441 §3).
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6
ENABLE_CONNECT_PROTOCOL = 8
# Error codes (RFC 9113 §7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM = 11

Field = tuple[bytes, bytes]


@dataclass(frozen=True)
class Frame:
    """One frame as it was on the wire."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Build a frame; the payload may be longer than the peer allows."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(values: Mapping[int, int] | None = None) -> bytes:
    """Build a SETTINGS frame."""
    pairs = (values or {}).items()
    return frame(SETTINGS, payload=b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs))


def window_update(increment: int, stream: int = 0) -> bytes:
    """Build a WINDOW_UPDATE frame; an increment of 0 is an error of the stream, or of the connection on stream 0."""
    return frame(WINDOW_UPDATE, stream=stream, payload=increment.to_bytes(4, "big"))


def rst_stream(stream: int, error: int = CANCEL) -> bytes:
    """Build a RST_STREAM frame."""
    return frame(RST_STREAM, stream=stream, payload=error.to_bytes(4, "big"))


def headers(stream: int, block: bytes, *, end_stream: bool = True, end_headers: bool = True) -> bytes:
    """Build a HEADERS frame from an encoded block."""
    flags = (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0)
    return frame(HEADERS, flags, stream, block)


def integer(value: int, prefix_bits: int, first_byte: int = 0) -> bytes:
    """Encode an HPACK integer (RFC 7541 §5.1)."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first_byte | value])
    encoded = bytearray([first_byte | limit])
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def literal(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """Encode a field as a literal; `indexed` also puts it into the peer's dynamic table, at index 62."""
    return bytes([0x40 if indexed else 0]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def indexed(index: int) -> bytes:
    """Encode a reference to a table entry: one byte on the wire, whatever the entry's size."""
    return integer(index, 7, 0x80)


def header_block(fields: Iterable[Field]) -> bytes:
    """Encode fields as literals."""
    return b"".join(literal(name, value) for name, value in fields)


def request_block(
    method: bytes = b"GET", path: bytes = b"/", *fields: Field, scheme: bytes = b"http", authority: bytes = b"test"
) -> bytes:
    """Encode the head of an ordinary request."""
    pseudo = [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]
    return header_block([*pseudo, *fields])

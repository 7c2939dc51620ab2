"""Who talks with the server."""

from __future__ import annotations

from collections.abc import Callable

from tests.soak.http1 import closed, given_up, half_closed, kept_alive, mutated, pipelined, slow_reader
from tests.soak.http2 import http2, slow_http2
from tests.soak.talk import Talk
from tests.soak.websockets import websocket, websocket_http2

Kind = Callable[[Talk], None]

# How many clients do each.
KINDS: dict[Kind, int] = {
    kept_alive: 6,
    closed: 3,
    pipelined: 2,
    half_closed: 1,
    given_up: 2,
    slow_reader: 2,
    mutated: 1,
    http2: 4,
    slow_http2: 2,
    websocket: 4,
    websocket_http2: 2,
}
# FIN is not the end of what a client says over TLS (RFC 8446 §6.1).
CLEAR_ONLY: frozenset[Kind] = frozenset({half_closed, mutated})

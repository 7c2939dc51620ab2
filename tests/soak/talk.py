"""What a conversation with the server is held by."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests import http2_frames as h2
from tests import raw, raw_http2
from tests.soak.asks import Ask

# A frozen worker, a blocked loop and a busy machine together take less.
TIMEOUT_SECONDS = 15.0
HTTPS1, HTTPS2 = raw_http2.client_context(), raw_http2.client_context("h2")


class ToldToLeave(Exception):
    """The server closed because it stops: right after a signal that asks for it, wrong at any other time."""


@dataclass
class Talk:
    """Where a conversation is held, and how far it is."""

    port: int
    draw: random.Random
    host: str = "127.0.0.1"
    # Over HTTPS, nobody's certificate is looked at.
    is_tls: bool = False
    answered: int = 0
    # What was asked last.
    asked: str = ""

    def ask(self, make: Callable[[random.Random], Ask]) -> Ask:
        """Draw something to ask."""
        ask = make(self.draw)
        self.asked = f"{ask.method} {ask.path} behind {self.asked.partition(' behind')[0]}"
        return ask

    def connect(self, receive_buffer: int | None = None) -> raw.Client:
        """Open a connection."""
        client = raw.Client(self.host, self.port, timeout=TIMEOUT_SECONDS, receive_buffer=receive_buffer)
        if self.is_tls:
            client.socket = HTTPS1.wrap_socket(client.socket, server_hostname="localhost")
        return client

    def connect_http2(self, *, window: int = h2.INITIAL_WINDOW_BYTES, **options: Any) -> raw_http2.Client:
        """Open a connection on which each stream, and all of them, may have so many bytes on their way."""
        client = raw_http2.Client(
            self.host,
            self.port,
            timeout=TIMEOUT_SECONDS,
            tls=HTTPS2 if self.is_tls else None,
            initial={h2.INITIAL_WINDOW_SIZE: window},
            **options,
        )
        if window > h2.INITIAL_WINDOW_BYTES:
            client.send(h2.window_update(window - h2.INITIAL_WINDOW_BYTES))
        return client

    def leave(self, client: raw.Client) -> None:
        """Close in one way or the other."""
        if self.draw.random() < 0.3:
            client.reset()

    def take(self, client: raw.Client, ask: Ask) -> bool:
        """Read an answer and look at it; false when the connection ends behind it."""
        response = client.response(method=ask.method)
        while response.status == 100:
            response = client.response(method=ask.method)
        ask.check(response.status, response.body)
        self.answered += 1
        return not response.closes

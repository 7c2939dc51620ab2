"""Conversations with the server: each has a connection of its own, and raises when something is not as it must be."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests import http2_frames as h2
from tests import raw, raw_http2
from tests import raw_websocket as ws
from tests.soak import asks
from tests.soak.asks import Ask

# A frozen worker, a blocked loop and a busy machine together take less.
TIMEOUT_SECONDS = 15.0
HTTPS1, HTTPS2 = raw_http2.client_context(), raw_http2.client_context("h2")
VIOLATION = ws.frame(ws.TEXT, b"reserved bit", rsv=1)


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


def kept_alive(talk: Talk) -> None:
    """Ask one thing after the other, each in pieces of any size; the last may be a failure."""
    with talk.connect() as client:
        for _ in range(talk.draw.randint(1, 40)):
            ask = talk.ask(asks.any_of_kept)
            for piece in asks.cut_up(talk.draw, _in_some_framing(talk.draw, ask)):
                client.send(piece)
            if not talk.take(client, ask):
                return
        talk.draw.choice((Talk.leave, Talk.leave, _take_failure, _take_cut))(talk, client)


def _in_some_framing(draw: random.Random, ask: Ask) -> bytes:
    if ask.content is None:
        return ask.request()
    expect = [("Expect", "100-continue")] if draw.random() < 0.2 else []
    if draw.random() < 0.5:
        return ask.request(*expect)
    return ask.request(*expect, chunks=asks.cut_up(draw, ask.content))


def _take_failure(talk: Talk, client: raw.Client) -> None:
    """Have the application fail: its framework answers, and lets the exception go on, which ends the connection."""
    ask = talk.ask(asks.failing)
    client.send(ask.request())
    talk.take(client, ask)
    if rest := client.read_until_closed():
        raise AssertionError(f"{ask.path}: {rest[:80]!r} behind the last answer")


def _take_cut(talk: Talk, client: raw.Client) -> None:
    ask = talk.ask(asks.cut)
    client.send(ask.request())
    head = client.response_head()
    came = client.read_until_closed()
    if head.status != 200 or came != raw.chunk(ask.answer):
        raise AssertionError(f"{ask.path} was answered with {head.status} {came[:80]!r}")
    talk.answered += 1


def closed(talk: Talk) -> None:
    """Ask once, and say so; then nothing may follow."""
    with talk.connect() as client:
        ask = talk.ask(asks.any_of_kept)
        client.send(ask.request(("Connection", "close")))
        if talk.take(client, ask):
            raise AssertionError(f"{ask.path}: no connection: close")
        if rest := client.read_until_closed():
            raise AssertionError(f"{ask.path}: {rest[:80]!r} behind the last answer")


def pipelined(talk: Talk) -> None:
    """Ask for several things at once."""
    with talk.connect() as client:
        for _ in range(talk.draw.randint(1, 10)):
            batch = [asks.small(talk.draw) for _ in range(talk.draw.randint(2, 12))]
            for piece in asks.cut_up(talk.draw, b"".join(ask.request() for ask in batch)):
                client.send(piece)
            # What is behind the last answer that a server gives may be asked again elsewhere (RFC 9112 §9.3.2).
            if not all(talk.take(client, ask) for ask in batch):
                return


def half_closed(talk: Talk) -> None:
    """Ask, send FIN, and wait for the answer and the end."""
    with talk.connect() as client:
        # Streams end with their reader: Starlette takes FIN for that.
        ask = talk.ask(talk.draw.choice((asks.small, asks.upload)))
        client.send(ask.request())
        client.half_close()
        talk.take(client, ask)
        if rest := client.read_until_closed():
            raise AssertionError(f"{ask.path}: {rest[:80]!r} behind the last answer")


def given_up(talk: Talk) -> None:
    """Leave in the middle of a request, of an answer, or of both."""
    with talk.connect() as client:
        data = _in_some_framing(talk.draw, talk.draw.choice((asks.upload, asks.download, asks.small))(talk.draw))
        client.send(data[: talk.draw.randint(1, len(data))])
        if talk.draw.random() < 0.5:
            client.socket.settimeout(0.005)
            with contextlib.suppress(TimeoutError):
                client.socket.recv(talk.draw.randint(1, 1000))
        talk.leave(client)


def slow_reader(talk: Talk) -> None:
    """Take a long answer in small pieces, with pauses."""
    with talk.connect(receive_buffer=16 * 1024) as client:
        ask = talk.ask(asks.download)
        client.send(ask.request())
        for _ in range(talk.draw.randint(1, 20)):
            if len(client.buffer) >= len(ask.answer):
                break
            time.sleep(0.01)
            client.buffer += client.socket.recv(2000)
        talk.take(client, ask)


def mutated(talk: Talk) -> None:
    """Send a request with some wrong bytes, then FIN: there is an answer or none, and the end."""
    with talk.connect() as client:
        data = bytearray(_in_some_framing(talk.draw, asks.any_of_kept(talk.draw))[:2000])
        for _ in range(talk.draw.randint(1, 4)):
            place = talk.draw.randrange(min(len(data), 150))
            data[place : place + talk.draw.randrange(3)] = talk.draw.randbytes(talk.draw.randrange(3))
        # A server that has refused the head may have closed by then.
        with contextlib.suppress(ConnectionError):
            client.send(bytes(data))
            client.half_close()
        came = client.wait_closed(TIMEOUT_SECONDS)
        if came and not came.startswith(b"HTTP/1.1 "):
            raise AssertionError(f"{bytes(data[:200])!r} was answered with {came[:80]!r}")
        talk.answered += 1


def http2(talk: Talk) -> None:
    """Ask for many things at once, and cancel some."""
    with talk.connect_http2() as client:
        unanswered: dict[int, Ask] = {}
        try:
            for _ in range(talk.draw.randint(1, 20)):
                _ask_for_some(talk, client, unanswered)
        except (raw.Closed, ConnectionError):
            with contextlib.suppress(raw.Closed, OSError):
                while True:
                    client.pump()
            # What the server did not look at may be asked again elsewhere (RFC 9113 §6.8).
            last = client.next_stream if client.goaway is None else client.goaway.last_stream
            lost = [stream for stream in unanswered if stream <= last and not client.streams[stream].is_over]
            if client.goaway is None or lost:
                talk.asked = f"streams {lost} of {list(unanswered)}, {client.goaway}"
                raise


def _ask_for_some(talk: Talk, client: raw_http2.Client, unanswered: dict[int, Ask]) -> None:
    for _ in range(talk.draw.randint(1, 12)):
        ask = _ask_http2(talk.draw)
        stream = client.request(ask.method.encode(), ask.path.encode(), end_stream=ask.content is None)
        unanswered[stream] = ask
        if ask.content is not None:
            client.send_body(stream, ask.content)
    if talk.draw.random() < 0.3:
        cancelled = talk.draw.choice(list(unanswered))
        client.send(h2.rst_stream(cancelled))
        del unanswered[cancelled]
    for stream, ask in list(unanswered.items()):
        _take_http2(talk, client, stream, ask)
        del unanswered[stream]


def _ask_http2(draw: random.Random) -> Ask:
    chance = draw.random()
    return asks.cut(draw) if chance < 0.01 else asks.failing(draw) if chance < 0.02 else asks.any_of_kept(draw)


def _take_http2(talk: Talk, client: raw_http2.Client, stream: int, ask: Ask) -> None:
    response = client.response(stream)
    if response.is_ended is ask.is_cut:
        raise AssertionError(f"{ask.path}: reset with {response.reset}, ended: {response.is_ended}")
    came = bytes(response.body)
    # Behind RST_STREAM nothing is owed any more, what was sent before included.
    is_right_so_far = ask.is_cut and ask.answer.startswith(came)
    ask.check(response.status, ask.answer if is_right_so_far else came)
    talk.answered += 1


def slow_http2(talk: Talk) -> None:
    """Ask for long answers, and begin late to take them, in small pieces."""
    with talk.connect_http2(window=4 * 1024 * 1024, receive_buffer=32 * 1024) as client:
        batch = [talk.ask(asks.long_download) for _ in range(talk.draw.randint(1, 4))]
        streams = {client.request(path=ask.path.encode()): ask for ask in batch}
        time.sleep(talk.draw.random() / 5)
        for stream, ask in streams.items():
            while not client.streams[stream].is_over:
                client.pump()
                if talk.draw.random() < 0.05:
                    time.sleep(0.002)
            _take_http2(talk, client, stream, ask)


def websocket(talk: Talk) -> None:
    """Have messages echoed, then leave in one way or the other."""
    extensions = ws.DEFLATE if talk.draw.random() < 0.5 else None
    try:
        _talk_websocket(talk, extensions)
    except ws.Refused as refused:
        # As under uvicorn, for a handshake that is undecided when the server stops.
        raise (ToldToLeave if refused.response.status == 500 else refused) from None


def _talk_websocket(talk: Talk, extensions: str | None) -> None:
    options: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "extensions": extensions}
    if talk.is_tls:
        options["tls"] = HTTPS1
    with ws.connect(talk.host, talk.port, "/echo", **options) as socket:
        for _ in range(talk.draw.randint(1, 30)):
            _echo(talk, socket, [_message(talk.draw) for _ in range(talk.draw.randint(1, 4))])
        end = talk.draw.choice(("close", "violation", "nothing"))
        if end == "close":
            socket.send_close(4000, "enough")
            _expect(socket, ws.Close(4000, "enough"))
        elif end == "violation":
            last = _message(talk.draw)
            data = last.encode() if isinstance(last, str) else last
            socket.pipe.send(ws.frame(ws.TEXT if isinstance(last, str) else ws.BINARY, data) + VIOLATION)
            _expect(socket, last)
            _expect(socket, 1002)


def _message(draw: random.Random) -> str | bytes:
    data = draw.randbytes(int(50_000 * draw.random() ** 4))
    return data if draw.random() < 0.5 else data.hex()


def _echo(talk: Talk, socket: ws.WebSocket, messages: list[str | bytes]) -> None:
    for message in messages:
        if socket.is_deflate and talk.draw.random() < 0.5:
            socket.send_deflated(message)
        else:
            socket.send(message)
    for message in messages:
        _expect(socket, message)
        talk.answered += 1


def _expect(socket: ws.WebSocket, expected: str | bytes | int | ws.Close) -> None:
    """Read what comes, and compare it, or its code."""
    came = socket.read()
    if isinstance(came, ws.Close) and came.code == 1012:
        raise ToldToLeave
    if (came.code if isinstance(came, ws.Close) and isinstance(expected, int) else came) != expected:
        raise AssertionError(f"{came!r:.100} and not {expected!r:.100}")


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
}
# FIN is not the end of what a client says over TLS (RFC 8446 §6.1).
CLEAR_ONLY: frozenset[Kind] = frozenset({half_closed, mutated})

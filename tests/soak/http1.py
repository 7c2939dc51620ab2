"""Conversations over HTTP/1: each has a connection of its own, and raises when something is not as it must be."""

from __future__ import annotations

import contextlib
import random
import time

from tests import raw
from tests.soak import asks
from tests.soak.asks import Ask
from tests.soak.talk import TIMEOUT_SECONDS, Talk


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
        # A server that has refused the head may have closed by then, and one that is killed has.
        with contextlib.suppress(OSError):
            client.send(bytes(data))
            client.half_close()
        came = client.wait_closed(TIMEOUT_SECONDS)
        if came and not came.startswith(b"HTTP/1.1 "):
            raise AssertionError(f"{bytes(data[:200])!r} was answered with {came[:80]!r}")
        talk.answered += 1

"""Conversations over HTTP/2: each has a connection of its own, and raises when something is not as it must be."""

from __future__ import annotations

import contextlib
import random
import time

from tests import http2_frames as h2
from tests import raw, raw_http2
from tests.soak import asks
from tests.soak.asks import Ask
from tests.soak.talk import Talk


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
        stream = _send(client, ask)
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


def _send(client: raw_http2.Client, ask: Ask) -> int:
    """Send all but the content."""
    fields = [(name.lower().encode(), value.encode()) for name, value in ask.headers]
    return client.request(ask.method.encode(), ask.path.encode(), *fields, end_stream=ask.content is None)


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
        makers = talk.draw.choices((asks.long_download, asks.file), k=talk.draw.randint(1, 4))
        streams = {_send(client, ask): ask for ask in map(talk.ask, makers)}
        time.sleep(talk.draw.random() / 5)
        for stream, ask in streams.items():
            while not client.streams[stream].is_over:
                client.pump()
                if talk.draw.random() < 0.05:
                    time.sleep(0.002)
            _take_http2(talk, client, stream, ask)

"""Conversations over WebSocket, on HTTP/1 and HTTP/2; they raise when something is not as it must be."""

from __future__ import annotations

import random
from typing import Any

from tests import raw, raw_http2, websocket_streams
from tests import raw_websocket as ws
from tests.soak.talk import HTTPS1, TIMEOUT_SECONDS, Talk, ToldToLeave

VIOLATION = ws.frame(ws.TEXT, b"reserved bit", rsv=1)


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
        _end(talk, socket)


def websocket_http2(talk: Talk) -> None:
    """Do the same on several streams of a connection (RFC 8441)."""
    with talk.connect_http2() as client:
        client.wait_settings()
        try:
            sockets = [_open(talk, client) for _ in range(talk.draw.randint(1, 4))]
            for _ in range(talk.draw.randint(1, 30)):
                _echo(talk, talk.draw.choice(sockets), [_message(talk.draw) for _ in range(talk.draw.randint(1, 3))])
            for socket in sockets:
                _end(talk, socket)
        except (raw.Closed, ConnectionError):
            if client.goaway is None:
                raise
            raise ToldToLeave from None


def _open(talk: Talk, client: raw_http2.Client) -> ws.WebSocket:
    offer = (b"sec-websocket-extensions", ws.DEFLATE.encode())
    stream = websocket_streams.ask(client, *talk.draw.choice(((), (offer,))), path=b"/echo")
    head = client.head(stream)
    if head.status == 500:
        raise ToldToLeave
    if head.status != 200:
        raise AssertionError(f"a handshake was answered with {head.status}, {head.reset}")
    extensions = (head.header(b"sec-websocket-extensions") or b"").decode()
    return ws.WebSocket(raw_http2.Tunnel(client, stream), extensions=extensions)


def _end(talk: Talk, socket: ws.WebSocket) -> None:
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

"""The apps the two HTTP/1 suites expect; a case that the app decides must not count against the server."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime

from tests.apps import Event, Receive, Scope, Send, body, length, read_body, start

ALLOW = (b"allow", b"GET, HEAD, POST, OPTIONS")
TEXT = (b"content-type", b"text/plain")
ETAG = b'"bicorn"'
MODIFIED = datetime(2026, 1, 1, tzinfo=timezone.utc)
VALIDATORS = [(b"etag", ETAG), (b"last-modified", format_datetime(MODIFIED, usegmt=True).encode())]


async def probe_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the "app" part of the probe's harness asks, for full marks."""
    status, headers, data = await _probe_answer(scope, receive)
    fields = [TEXT, *headers]
    if status not in (204, 304):
        fields.append(length(data))
    await send(start(status, fields))
    await send(body(data))


async def _probe_answer(scope: Scope, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    method, path = scope["method"], scope["path"]
    if method == "OPTIONS":
        return 204, [ALLOW], b""
    if method not in ("GET", "HEAD", "POST"):
        return 405, [ALLOW], b""
    if path == "/echo":
        return 200, [], b"".join(b"%b: %b\n" % (name, value) for name, value in scope["headers"])
    if path == "/cookie":
        return 200, [], _cookies(scope)
    if method == "POST":
        return 200, [], await read_body(receive)
    if _is_unchanged(dict(scope["headers"])):
        return 304, VALIDATORS, b""
    return 200, VALIDATORS, b"OK"


def _is_unchanged(headers: dict[bytes, bytes]) -> bool:
    if tags := headers.get(b"if-none-match"):
        return tags == b"*" or ETAG in tags
    try:
        since = parsedate_to_datetime(headers[b"if-modified-since"].decode())
    except (KeyError, ValueError):
        return False
    # A date in the future is not a valid condition (RFC 9110 §13.1.3).
    return MODIFIED <= since <= datetime.now(timezone.utc)


def _cookies(scope: Scope) -> bytes:
    lines = [value for name, value in scope["headers"] if name == b"cookie"]
    pairs = [pair.strip() for line in lines for pair in line.split(b";")]
    return b"".join(pair + b"\n" for pair in pairs if b"=" in pair)


async def echo_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo the body for every method, as h1spec asks; a peer that leaves early is not an error."""
    data = b""
    more = True
    while more:
        event: Event = await receive()
        if event["type"] == "http.disconnect":
            return
        data += event["body"]
        more = event["more_body"]
    await send(start(200, [length(data)]))
    await send(body(data))

"""Early hints, trailers and what scopes announce; files are in `test_sendfile.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests import raw
from tests.apps import Event, Headers, Receive, Scope, ScopeKeeper, Send, Sending, body, hello, length, start
from tests.conftest import Serve, ServeShared

FILES = ["http.response.pathsend", "http.response.zerocopysend"]
SINCE_1_1 = ["http.response.early_hint", "http.response.trailers"]
LINKS = [b"</style.css>; rel=preload; as=style", b"</app.js>; rel=preload; as=script"]


def hint(*links: Any) -> Event:
    return {"type": "http.response.early_hint", "links": list(links)}


def announcing(headers: Headers = ()) -> Event:
    return {**start(headers=headers), "trailers": True}


def trailers(*headers: Any, more: bool = False) -> Event:
    return {"type": "http.response.trailers", "headers": list(headers), "more_trailers": more}


def get(**options: Any) -> bytes:
    return raw.request(headers=[("TE", "trailers")], **options)


# What is announced.


@pytest.mark.parametrize(("version", "names"), [("1.1", FILES + SINCE_1_1), ("1.0", FILES)])
def test_a_scope_announces_what_its_version_honours(version: str, names: list[str], serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        client.exchange(raw.request(version=version))
    assert keeper.next()["extensions"] == {name: {} for name in names}


def test_extensions_are_fresh_in_each_scope(serve_shared: ServeShared) -> None:
    keeper = ScopeKeeper()
    with serve_shared(keeper).connect() as client:
        client.exchange(raw.request())
        first = keeper.next()["extensions"]
        first["added"] = first["http.response.pathsend"]["added"] = True
        client.exchange(raw.request())
    assert keeper.next()["extensions"] == {name: {} for name in FILES + SINCE_1_1}


# Early hints.


def test_early_hints_precede_the_response(serve_shared: ServeShared) -> None:
    app = Sending(hint(*LINKS), None, hint(b"</font.woff2>"), start(headers=[length(b"hi")]), body(b"hi"))
    with serve_shared(app).connect() as client:
        first = client.exchange(raw.request())
        assert (first.status, first.headers) == (103, [(b"link", link) for link in LINKS])
        second = client.response()
        assert (second.status, second.headers) == (103, [(b"link", b"</font.woff2>")])
        final = client.response()
        assert (final.status, final.body) == (200, b"hi")
        # The connection goes on.
        assert client.exchange(raw.request()).status == 103


def test_early_hint_leaves_before_the_app_has_an_answer(serve_shared: ServeShared) -> None:
    release: asyncio.Future[None] | None = None
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal release
        loops.append(asyncio.get_running_loop())
        release = loops[0].create_future()
        await send(hint(*LINKS))
        await release
        await hello(scope, receive, send)

    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request()).status == 103
        assert release is not None
        loops[0].call_soon_threadsafe(release.set_result, None)
        assert client.response().body == b"hello"


def test_early_hint_reaches_no_1_0_client(serve_shared: ServeShared) -> None:
    app = Sending(hint(*LINKS), start(headers=[length(b"hi")]), body(b"hi"))
    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request(version="1.0")).body == b"hi"
    assert app.error() is None


def test_early_hint_without_links_is_nothing(serve_shared: ServeShared) -> None:
    with serve_shared(Sending(hint(), start(headers=[length(b"hi")]), body(b"hi"))).connect() as client:
        assert client.exchange(raw.request()).body == b"hi"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_early_hint_is_for_every_method(method: str, serve_shared: ServeShared) -> None:
    app = Sending(hint(*LINKS), start(headers=[length(b"hi")]), body(b"hi"))
    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request(method)).status == 103
        assert client.response(method=method).status == 200


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (hint(b"</a>\r\nx: y"), RuntimeError, "Invalid HTTP header value."),
        (hint(b"</a>", b"</b>\0"), RuntimeError, "Invalid HTTP header value."),
        (hint("</a>"), TypeError, "a bytes-like object is required, not 'str'"),
        ({"type": "http.response.early_hint"}, KeyError, "'links'"),
        ({"type": "http.response.early_hint", "links": None}, TypeError, "'NoneType' object is not iterable"),
    ],
)
def test_bad_early_hint_is_refused_and_nothing_of_it_is_sent(
    event: Event, kind: type[Exception], text: str, serve_shared: ServeShared
) -> None:
    app = Sending(event, start(headers=[length(b"hi")]), body(b"hi"), reraise=False)
    with serve_shared(app).connect() as client:
        assert client.exchange(raw.request()).body == b"hi"
    error = app.error()
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ([start()], "Expected ASGI message 'http.response.body', but got 'http.response.early_hint'."),
        ([start(), None], "Expected ASGI message 'http.response.body', but got 'http.response.early_hint'."),
        (
            [announcing(), body()],
            "Expected ASGI message 'http.response.trailers', but got 'http.response.early_hint'.",
        ),
        (
            [start(), body()],
            "Unexpected ASGI message 'http.response.early_hint' sent, after response already completed.",
        ),
    ],
)
def test_early_hint_after_the_start_is_an_error(
    before: list[Event | None], text: str, serve_shared: ServeShared
) -> None:
    app = Sending(*before, hint(*LINKS))
    with serve_shared(app).connect() as client:
        client.send(raw.request())
        error = app.error()
    assert (type(error), str(error)) == (RuntimeError, text)


# Trailers.


def test_trailers_follow_the_last_chunk(serve_shared: ServeShared) -> None:
    app = Sending(
        announcing([(b"trailer", b"x-sum")]),
        body(b"he", more=True),
        body(b"llo"),
        trailers((b"X-Sum", b"1"), (b"x-sum", b"2"), more=True),
        trailers((b"server-timing", b"db;dur=53")),
    )
    with serve_shared(app).connect() as client:
        for _ in range(2):
            response = client.exchange(get())
            assert (response.framing, response.body) == ("chunked", b"hello")
            assert response.trailers == [(b"x-sum", b"1"), (b"x-sum", b"2"), (b"server-timing", b"db;dur=53")]
            assert app.error() is None


def test_trailers_may_come_much_later_than_the_body(serve_shared: ServeShared) -> None:
    app = Sending(announcing(), body(b"hello"), None, None, trailers((b"x-sum", b"1")))
    with serve_shared(app).connect() as client:
        client.send(get() + get())
        for _ in range(2):
            response = client.response()
            assert (response.body, response.trailers) == (b"hello", [(b"x-sum", b"1")])


NO_PLACE: list[tuple[str, bytes, list[Any]]] = [
    ("not asked for", raw.request(), []),
    ("with a length", get(), [length(b"hello")]),
    ("1.0", get(version="1.0"), []),
    ("HEAD", raw.request("HEAD", headers=[("TE", "trailers")]), []),
]


@pytest.mark.parametrize(("request_", "headers"), [case[1:] for case in NO_PLACE], ids=[case[0] for case in NO_PLACE])
def test_trailers_without_a_place_are_left_out(request_: bytes, headers: list[Any], serve_shared: ServeShared) -> None:
    app = Sending(announcing(headers), body(b"hello"), trailers((b"x-sum", b"1")))
    with serve_shared(app).connect() as client:
        response = client.exchange(request_)
        assert response.body == (b"" if request_.startswith(b"HEAD") else b"hello")
        assert response.trailers == []
        assert client.buffer == b""
    assert app.error() is None


@pytest.mark.parametrize("status", [204, 304])
def test_trailers_of_a_response_without_content_are_left_out(status: int, serve_shared: ServeShared) -> None:
    app = Sending({**start(status), "trailers": True}, body(), trailers((b"x-sum", b"1")))
    with serve_shared(app).connect() as client:
        for _ in range(2):
            assert client.exchange(get()).status == status
            assert app.error() is None


def test_response_without_its_trailers_is_incomplete(serve_shared: ServeShared) -> None:
    app = Sending(announcing(), body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client, pytest.raises(raw.Closed):
        client.exchange(get())
    server.logs.wait_for("ASGI callable returned without completing response.")


FORBIDDEN = ["content-length", "Transfer-Encoding", "host", "authorization", "content-type", "set-cookie", "trailer"]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_trailers_are_refused(name: str, serve_shared: ServeShared) -> None:
    app = Sending(
        announcing(), body(b"hello"), trailers((name.encode(), b"1")), trailers((b"x-sum", b"1")), reraise=False
    )
    with serve_shared(app).connect() as client:
        assert client.exchange(get()).trailers == [(b"x-sum", b"1")]
    error = app.error()
    assert type(error) is RuntimeError
    assert str(error) == f"HTTP header '{name.lower()}' is not allowed in trailers."


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (trailers((b":status", b"1")), RuntimeError, "Invalid HTTP header name."),
        (trailers((b"x", b"1\r\ny: 2")), RuntimeError, "Invalid HTTP header value."),
        (trailers(("x", b"1")), TypeError, "a bytes-like object is required, not 'str'"),
    ],
)
def test_bad_trailers_are_refused_whether_asked_for_or_not(
    event: Event, kind: type[Exception], text: str, serve_shared: ServeShared
) -> None:
    app = Sending(announcing(), body(b"hello"), event, trailers(), reraise=False)
    with serve_shared(app).connect() as client:
        for request_ in (get(), raw.request()):
            response = client.exchange(request_)
            assert (response.body, response.trailers) == (b"hello", [])
            error = app.error()
            assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([trailers()], "Expected ASGI message 'http.response.start', but got 'http.response.trailers'."),
        ([start(), trailers()], "Expected ASGI message 'http.response.body', but got 'http.response.trailers'."),
        ([announcing(), trailers()], "Expected ASGI message 'http.response.body', but got 'http.response.trailers'."),
        (
            [announcing(), body(), body()],
            "Expected ASGI message 'http.response.trailers', but got 'http.response.body'.",
        ),
        (
            [start(), body(), trailers()],
            "Unexpected ASGI message 'http.response.trailers' sent, after response already completed.",
        ),
        (
            [announcing(), body(), trailers(), trailers()],
            "Unexpected ASGI message 'http.response.trailers' sent, after response already completed.",
        ),
    ],
)
def test_trailers_out_of_turn_are_an_error(events: list[Event], text: str, serve_shared: ServeShared) -> None:
    app = Sending(*events)
    with serve_shared(app).connect() as client:
        client.send(get())
        error = app.error()
    assert (type(error), str(error)) == (RuntimeError, text)


def test_receive_waits_until_the_trailers_are_sent(serve_shared: ServeShared) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        waiting = asyncio.ensure_future(receive())
        await send(announcing())
        await send(body(b"hello"))
        await asyncio.sleep(0)
        seen.append(waiting.done())
        await send(trailers((b"x-sum", b"1")))
        seen.append(await waiting)

    with serve_shared(app).connect() as client:
        assert client.exchange(get()).trailers == [(b"x-sum", b"1")]
        assert client.exchange(get()).body == b"hello"
    assert seen[:2] == [False, {"type": "http.disconnect"}]


# Frameworks.


async def hinted(request: Request) -> Response:
    await request.send_early_hints("</style.css>; rel=preload", "</app.js>; rel=preload")
    return PlainTextResponse("hello " * 200)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


# Python 3.10 has an older Starlette.
needs_starlette_with_extensions = pytest.mark.skipif(
    not hasattr(Request, "send_early_hints"), reason="this Starlette knows neither early hints nor trailers"
)


@needs_starlette_with_extensions
@pytest.mark.parametrize("middleware", [[], [Middleware(Passing)], [Middleware(GZipMiddleware)]], ids=str)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_starlette_sends_early_hints(version: str, middleware: list[Middleware], serve_shared: ServeShared) -> None:
    app = Starlette(routes=[Route("/", hinted)], middleware=middleware)
    with serve_shared(app).connect() as client:
        response = client.exchange(raw.request(version=version))
        if version == "1.1":
            assert (response.status, len(response.headers)) == (103, 2)
            response = client.response()
        assert (response.status, response.body) == (200, b"hello " * 200)


@needs_starlette_with_extensions
def test_trailers_get_through_gzip_and_are_lost_in_base_http_middleware(serve_shared: ServeShared) -> None:
    app = Sending(announcing(), body(b"hello " * 200), trailers((b"x-sum", b"1")))
    with serve_shared(GZipMiddleware(app)).connect() as client:
        response = client.exchange(raw.request(headers=[("TE", "trailers"), ("Accept-Encoding", "gzip")]))
        assert (response.header(b"content-encoding"), response.trailers) == (b"gzip", [(b"x-sum", b"1")])
    with serve_shared(Passing(app)).connect() as client:
        response = client.exchange(get())
        assert (response.body, response.trailers) == (b"hello " * 200, [])


def test_trace_log_shows_the_events(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    app = Sending(hint(*LINKS), announcing(), body(b"hello"), trailers((b"x-sum", b"1")))
    with serve(app, log_level="trace") as server, server.connect() as client:
        assert client.exchange(get()).status == 103
        assert client.response().trailers == [(b"x-sum", b"1")]

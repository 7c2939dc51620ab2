"""What the server does with the events an app sends in the wrong order or number, or does not send.

One test for each such row of the table "HTTP events" of the uvicorn contract (2.2). Rows about framing are in
`test_bodies.py`, about malformed requests in `test_limits.py`, about leaving peers in `test_disconnect.py`.
"""

from __future__ import annotations

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, Sending, body, length, responder, start, turn_loop
from tests.conftest import ServeShared

INTERNAL_ERROR_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"21"),
    (b"connection", b"close"),
]


def assert_internal_error(client: raw.Client) -> None:
    response = client.response()
    assert (response.status, response.body) == (500, b"Internal Server Error")
    assert response.headers[-3:] == INTERNAL_ERROR_HEADERS
    assert client.wait_closed() == b""


def assert_internal_error_or_cut_off(client: raw.Client) -> None:
    """Nothing of a response that must not be: a 500 if the head was still held, else an end before the end."""
    try:
        response = client.response()
    except raw.Closed:
        return
    assert (response.status, response.body) == (500, b"Internal Server Error")
    client.wait_closed()


@pytest.mark.parity
def test_start_reaches_the_client_before_any_body(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201, [length(b"late")]))
        await gate.wait()
        await send(body(b"late"))

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        head = client.response_head()
        gate.open()
        assert head.status == 201
        assert client.exactly(4) == b"late"


@pytest.mark.parity
def test_raise_before_start_is_500(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("before start")

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error(client)
    record = server.logs.wait_for("Exception in ASGI application\n")
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


@pytest.mark.parity
def test_traceback_is_logged_once(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise ValueError("once")
        await responder()(scope, receive, send)

    server = serve_shared(app)
    with server.connect() as client:
        client.exchange(raw.request(target="/raise"))
    with server.connect() as client:
        client.exchange(raw.request())
    assert server.logs.messages == ["Exception in ASGI application\n"]


@pytest.mark.differs_from_uvicorn("the head is on the wire at once, so a raise after it can only close")
def test_raise_after_start_in_the_same_tick_is_500(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [length(b"never")]))
        raise ValueError("after start")

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error(client)


@pytest.mark.parity
def test_raise_after_start_was_flushed_closes(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [length(b"never")]))
        await turn_loop()
        raise ValueError("after start")

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        assert client.wait_closed() == b""
    server.logs.wait_for("Exception in ASGI application\n")


@pytest.mark.parity
def test_raise_after_first_body_cuts_the_response_off(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        raise ValueError("after first body")

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 200
        assert client.wait_closed() in (b"5\r\nfirst\r\n", b"")
    server.logs.wait_for("Exception in ASGI application\n")


@pytest.mark.parity
def test_return_without_start_is_500(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending())
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error(client)
    record = server.logs.wait_for("ASGI callable returned without starting response.")
    assert record.levelname == "ERROR"


@pytest.mark.parity
def test_return_after_start_without_body_never_looks_complete(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(200, [length(b"never")])))
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    record = server.logs.wait_for("ASGI callable returned without completing response.")
    assert record.levelname == "ERROR"


@pytest.mark.parity
def test_return_without_completing_cuts_the_response_off(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(), body(b"part", more=True)))
    with server.connect() as client:
        client.send(raw.request())
        with pytest.raises(raw.Closed):
            client.response()
    server.logs.wait_for("ASGI callable returned without completing response.")


@pytest.mark.parity
def test_returned_value_is_logged_and_closes_after_the_response(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> object:
        await responder()(scope, receive, send)
        return {"not": "None"}

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
        assert client.wait_closed() == b""
    record = server.logs.wait_for("ASGI callable should return None, but returned '{'not': 'None'}'.")
    assert record.levelname == "ERROR"


@pytest.mark.parity
def test_raise_after_complete_is_logged_and_closes(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await responder()(scope, receive, send)
        raise ValueError("after complete")

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
        assert client.wait_closed() == b""
    server.logs.wait_for("Exception in ASGI application\n")


@pytest.mark.parity
@pytest.mark.parametrize(
    ("first", "got"),
    [
        pytest.param(body(b"x"), "http.response.body", id="body"),
        pytest.param({"type": "http.response.trailers"}, "http.response.trailers", id="trailers"),
        pytest.param({"type": "websocket.send", "text": "x"}, "websocket.send", id="websocket"),
        pytest.param({"type": "no.such.type"}, "no.such.type", id="unknown"),
    ],
)
def test_other_event_before_start_raises_and_is_500(
    first: dict[str, object], got: str, serve_shared: ServeShared
) -> None:
    app = Sending(first)
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error(client)
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == f"Expected ASGI message 'http.response.start', but got '{got}'."


@pytest.mark.parity
@pytest.mark.parametrize("got", ["http.response.start", "no.such.type"])
def test_other_event_than_body_after_start_raises(got: str, serve_shared: ServeShared) -> None:
    app = Sending(start(), {"type": got, "status": 200, "headers": []})
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == f"Expected ASGI message 'http.response.body', but got '{got}'."


@pytest.mark.parity
@pytest.mark.parametrize("got", ["http.response.start", "http.response.body", "no.such.type"])
def test_send_after_complete_raises_and_closes(got: str, serve_shared: ServeShared) -> None:
    app = Sending(start(200, [length(b"hello")]), body(b"hello"), {"type": got, "status": 200})
    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
        assert client.wait_closed() == b""
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == f"Unexpected ASGI message '{got}' sent, after response already completed."


@pytest.mark.parity
@pytest.mark.parametrize("sent", [start(), body(b"x")], ids=["start", "body"])
def test_event_without_type_raises_key_error(sent: dict[str, object], serve_shared: ServeShared) -> None:
    app = Sending({key: value for key, value in sent.items() if key != "type"})
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error(client)
    assert isinstance(app.error(), KeyError)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"bad name", b"x", "Invalid HTTP header name."),
        (b"bad:name", b"x", "Invalid HTTP header name."),
        (b"bad\r\nname", b"x", "Invalid HTTP header name."),
        (b"x-bad", b"one\r\ntwo: three", "Invalid HTTP header value."),
        (b"x-bad", b"nul\x00", "Invalid HTTP header value."),
        (b"x-bad", b"del\x7f", "Invalid HTTP header value."),
    ],
)
def test_invalid_header_raises_and_is_never_on_the_wire(
    name: bytes, value: bytes, message: str, serve_shared: ServeShared
) -> None:
    app = Sending(start(200, [(name, value), length(b"hello")]), body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == message


@pytest.mark.parity
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (("x-text", b"bytes"), TypeError),
        ((b"x-text", "text"), TypeError),
        ((b"x-number", 5), TypeError),
        ((b"one",), ValueError),
        ((b"one", b"two", b"three"), ValueError),
    ],
)
def test_header_of_wrong_type_raises(
    header: tuple[bytes, bytes], expected: type[Exception], serve_shared: ServeShared
) -> None:
    app = Sending(start(200, [header]), body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    assert isinstance(app.error(), expected)


@pytest.mark.parity
@pytest.mark.parametrize("status", [999, 99, 600, -1])
def test_status_out_of_range_raises(status: int, serve_shared: ServeShared) -> None:
    app = Sending(start(status), body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    assert isinstance(app.error(), KeyError)


@pytest.mark.parity
def test_start_without_status_raises_key_error(serve_shared: ServeShared) -> None:
    app = Sending({"type": "http.response.start", "headers": []}, body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert_internal_error_or_cut_off(client)
    error = app.error()
    assert isinstance(error, KeyError)
    assert error.args == ("status",)


@pytest.mark.parity
def test_body_longer_than_content_length_raises_and_is_never_sent(serve_shared: ServeShared) -> None:
    app = Sending(start(200, [(b"content-length", b"5")]), None, body(b"hello world"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert client.response_head().header(b"content-length") == b"5"
        assert client.wait_closed() in (b"", b"hello")
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == "Response content longer than Content-Length"


@pytest.mark.parity
def test_body_shorter_than_content_length_raises_and_closes(serve_shared: ServeShared) -> None:
    app = Sending(start(200, [(b"content-length", b"10")]), None, body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert client.response_head().header(b"content-length") == b"10"
        assert client.wait_closed() in (b"", b"hello")
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == "Response content shorter than Content-Length"


@pytest.mark.parity
def test_body_of_a_204_raises_and_is_never_sent(serve_shared: ServeShared) -> None:
    app = Sending(start(204), None, body(b"hello"))
    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        assert client.response_head().status == 204
        assert client.wait_closed() == b""
    error = app.error()
    assert isinstance(error, RuntimeError)
    assert str(error) == "Response content longer than Content-Length"

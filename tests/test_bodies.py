"""Response framing: content-length, chunked, close-delimited, and responses that have no body."""

from __future__ import annotations

import http
from collections.abc import Iterator

import pytest

from tests import raw
from tests.apps import Event, Gate, Receive, Scope, Send, Sending, body, echo, length, responder, start
from tests.conftest import ServeShared

DEFAULT_HEADER_NAMES = (b"date", b"server")


def own_headers(response: raw.Response) -> list[tuple[bytes, bytes]]:
    """What is left without the default headers."""
    return [header for header in response.headers if header[0] not in DEFAULT_HEADER_NAMES]


@pytest.mark.parity
def test_one_body_without_content_length_is_chunked(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello", headers=[(b"x-app", b"1")]))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert own_headers(response) == [(b"x-app", b"1"), (b"transfer-encoding", b"chunked")]
        assert (response.body, response.chunk_sizes) == (b"hello", [5])


@pytest.mark.parity
def test_each_body_event_is_one_chunk(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(), body(b"one", more=True), body(b"three", more=True), body(b"seven..")))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert (response.body, response.chunk_sizes) == (b"onethreeseven..", [3, 5, 7])


@pytest.mark.parity
def test_empty_body_event_does_not_end_a_chunked_response(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(), body(b"", more=True), body(b"one", more=True), body(b"", more=True), body()))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert (response.body, response.chunk_sizes) == (b"one", [3])


@pytest.mark.parity
def test_content_length_is_kept_over_several_bodies(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(200, [length(b"onetwo")]), body(b"one", more=True), body(b"two")))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert own_headers(response) == [(b"content-length", b"6")]
        assert response.body == b"onetwo"


@pytest.mark.parity
def test_transfer_encoding_of_the_app_is_honoured(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello", headers=[(b"Transfer-Encoding", b"chunked")]))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert own_headers(response) == [(b"transfer-encoding", b"chunked")]
        assert response.body == b"hello"


@pytest.mark.differs_from_uvicorn("both headers, which RFC 9112 §6.2 forbids")
@pytest.mark.parametrize("length_first", [True, False])
def test_content_length_and_transfer_encoding_are_never_both_sent(
    length_first: bool, serve_shared: ServeShared
) -> None:
    headers = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    server = serve_shared(responder(b"hello", headers=headers if length_first else headers[::-1]))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert response.status == 200
        assert response.body == b"hello"


@pytest.mark.parity
def test_header_names_are_lower_case_and_in_order(serve_shared: ServeShared) -> None:
    sent = [(b"X-Two", b"2"), (b"Content-Length", b"5"), (b"x-ONE", b"a"), (b"X-One", b"B"), (b"Set-Cookie", b"c=d")]
    server = serve_shared(responder(b"hello", headers=sent))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert own_headers(response) == [(name.lower(), value) for name, value in sent]


@pytest.mark.parity
def test_default_headers_come_first_and_are_not_replaced(serve_shared: ServeShared) -> None:
    sent = [(b"server", b"mine"), (b"date", b"today"), length(b"hello")]
    server = serve_shared(responder(b"hello", headers=sent))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert [name for name, _ in response.headers[:2]] == [b"date", b"server"]
        assert response.headers[2:] == sent


@pytest.mark.parity
@pytest.mark.parametrize("value", [b"close", b"Close", b"keep-alive, close", b"x,CLOSE ,y"])
def test_connection_close_of_the_app_closes(value: bytes, serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello", headers=[length(b"hello"), (b"connection", value)]))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert response.all(b"connection") == [value]
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_connection_close_of_the_client_closes(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello"))
    with server.connect() as client:
        response = client.exchange(raw.request(headers=[("Connection", "close")]))
        assert response.header(b"connection") == b"close"
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_connection_stays_open_without_close(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello"))
    with server.connect() as client:
        for _ in range(3):
            response = client.exchange(raw.request())
            assert (response.body, response.all(b"connection")) == (b"hello", [])


@pytest.mark.parity
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")]], ids=["without", "with content-length"])
@pytest.mark.parametrize("events", [[body(b"hello")], [body(b"he", more=True), body(b"llo")]], ids=["one", "two"])
def test_head_response_has_no_body(
    headers: list[tuple[bytes, bytes]], events: list[Event], serve_shared: ServeShared
) -> None:
    server = serve_shared(Sending(start(200, headers), *events))
    with server.connect() as client:
        for _ in range(2):
            response = client.exchange(raw.request("HEAD"))
            assert (response.status, own_headers(response)) == (200, headers)
        assert client.silent_for(0.05)


@pytest.mark.parity
@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body_has_no_framing_and_stays_open(status: int, serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(status, [(b"etag", b'"1"')]), body()))
    with server.connect() as client:
        for _ in range(2):
            response = client.exchange(raw.request())
            assert (response.status, own_headers(response)) == (status, [(b"etag", b'"1"')])


@pytest.mark.differs_from_uvicorn("takes the missing body for an error and closes")
def test_304_with_content_length_and_empty_body_stays_open(serve_shared: ServeShared) -> None:
    app = Sending(start(304, [(b"content-length", b"1234")]), body())
    server = serve_shared(app)
    with server.connect() as client:
        for _ in range(2):
            response = client.exchange(raw.request())
            assert response.status == 304
            assert app.error() is None


@pytest.mark.differs_from_uvicorn("RFC 9110 §8.6: no Content-Length in a 204")
def test_content_length_of_a_204_is_dropped(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(204, [(b"content-length", b"0")]), body()))
    with server.connect() as client:
        for _ in range(2):
            response = client.exchange(raw.request())
            assert (response.status, response.all(b"content-length")) == (204, [])


@pytest.mark.parity
def test_reason_phrases_are_those_of_the_running_python(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(int(scope["path"][1:]), [(b"content-length", b"0")]))
        await send(body())

    server = serve_shared(app)
    expected = {status.value: status.phrase.encode() for status in http.HTTPStatus if status >= 200}
    expected |= dict.fromkeys((299, 420, 499, 520, 599), b"")
    with server.connect() as client:
        seen = {
            status: client.exchange(raw.request(target=f"/{status}")).reason for status in expected if status != 304
        }
    expected.pop(304)
    assert seen == expected


@pytest.mark.parity
def test_status_may_be_an_enum(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending({**start(), "status": http.HTTPStatus.IM_A_TEAPOT}, body()))
    with server.connect() as client:
        assert client.exchange(raw.request()).status == 418


def _pairs() -> Iterator[tuple[bytes, bytes]]:
    yield (b"content-length", b"5")
    yield (b"x-app", b"1")


@pytest.mark.parity
@pytest.mark.parametrize(
    "make",
    [
        lambda: [[b"content-length", b"5"], [b"x-app", b"1"]],
        lambda: ((b"content-length", b"5"), (b"x-app", b"1")),
        _pairs,
        lambda: {b"content-length": b"5", b"x-app": b"1"}.items(),
        lambda: [(b"content-length", b"5"), (bytearray(b"x-app"), bytearray(b"1"))],
    ],
    ids=["lists", "tuple", "generator", "dict items", "bytearrays"],
)
def test_headers_may_be_any_iterable_of_pairs(make: object, serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": make()})  # type: ignore[operator]
        await send(body(b"hello"))

    server = serve_shared(app)
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert own_headers(response) == [(b"content-length", b"5"), (b"x-app", b"1")]
        assert response.body == b"hello"


@pytest.mark.parity
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")]], ids=["chunked", "length"])
def test_body_may_be_any_bytes_like_object(
    kind: type, headers: list[tuple[bytes, bytes]], serve_shared: ServeShared
) -> None:
    server = serve_shared(Sending(start(200, headers), body(kind(b"hello"))))
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.parity
def test_keys_left_out_have_their_defaults(serve_shared: ServeShared) -> None:
    server = serve_shared(Sending({"type": "http.response.start", "status": 200}, {"type": "http.response.body"}))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert (own_headers(response), response.body) == ([(b"transfer-encoding", b"chunked")], b"")


@pytest.mark.parity
def test_large_body_arrives_whole(serve_shared: ServeShared) -> None:
    data = bytes(range(256)) * 16 * 1024
    server = serve_shared(responder(data))
    with server.connect() as client:
        assert client.exchange(raw.request()).body == data


@pytest.mark.parity
def test_many_small_bodies_arrive_in_order(serve_shared: ServeShared) -> None:
    pieces = [b"%d," % number for number in range(3000)]
    server = serve_shared(Sending(start(), *(body(piece, more=True) for piece in pieces), body()))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert response.body == b"".join(pieces)
        assert response.chunk_sizes == [len(piece) for piece in pieces]


@pytest.mark.parity
def test_huge_response_head_arrives_whole(serve_shared: ServeShared) -> None:
    headers = [(b"x-%d" % number, b"v" * number) for number in range(1000)]
    server = serve_shared(responder(b"hello", headers=[*headers, length(b"hello")]))
    with server.connect() as client:
        response = client.exchange(raw.request())
        assert response.headers[2:-1] == headers
        assert response.body == b"hello"


@pytest.mark.parity
def test_body_changed_after_send_is_sent_as_it_was(serve_shared: ServeShared) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        buffer = bytearray(b"first")
        await send(start(200, [(b"content-length", b"10")]))
        await send(body(buffer, more=True))  # type: ignore[arg-type]  # bytes-like on purpose
        buffer[:] = b"other"
        await send(body(bytes(buffer)))

    server = serve_shared(app)
    with server.connect() as client:
        assert client.exchange(raw.request()).body == b"firstother"


# HTTP/1.0


@pytest.mark.differs_from_uvicorn("sends chunked to a client that cannot know it")
@pytest.mark.parametrize("events", [[body(b"hello")], [body(b"he", more=True), body(b"llo")]], ids=["one", "two"])
def test_http10_client_never_gets_chunked(events: list[Event], serve_shared: ServeShared) -> None:
    server = serve_shared(Sending(start(), *events))
    with server.connect() as client:
        response = client.exchange(raw.request(version="1.0"))
        assert response.framing in ("length", "close")
        assert response.body == b"hello"
        assert client.wait_closed() == b""


@pytest.mark.parity
def test_http10_closes_by_default(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello"))
    with server.connect() as client:
        assert client.exchange(raw.request(version="1.0")).body == b"hello"
        assert client.wait_closed() == b""


@pytest.mark.differs_from_uvicorn("always closes")
def test_http10_keep_alive_is_honoured(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello"))
    with server.connect() as client:
        for _ in range(2):
            response = client.exchange(raw.request(version="1.0", headers=[("Connection", "keep-alive")]))
            assert response.body == b"hello"
            assert response.header(b"connection") == b"keep-alive"


@pytest.mark.differs_from_uvicorn("sends chunked")
def test_http10_keep_alive_of_unknown_length_closes(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"he", more=True))
        await gate.wait()
        await send(body(b"llo"))

    with serve_shared(app).connect() as client:
        client.send(raw.request(version="1.0", headers=[("Connection", "keep-alive")]))
        head = client.response_head()
        gate.open()
        assert (head.all(b"transfer-encoding"), head.all(b"content-length")) == ([], [])
        assert client.read_until_closed() == b"hello"


@pytest.mark.differs_from_uvicorn("sends chunked")
def test_http10_app_cannot_force_chunked(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello", headers=[(b"transfer-encoding", b"chunked")]))
    with server.connect() as client:
        response = client.exchange(raw.request(version="1.0"))
        assert response.framing in ("length", "close")
        assert response.body == b"hello"


@pytest.mark.differs_from_uvicorn("sends 100, which HTTP/1.0 does not know")
def test_http10_never_gets_100(serve_shared: ServeShared) -> None:
    with serve_shared(echo).connect() as client:
        client.send(raw.request("POST", version="1.0", headers=[("Expect", "100-continue")], body=b"hello"))
        response = client.response()
        assert (response.status, response.body) == (200, b"hello")


@pytest.mark.parity
def test_http10_app_may_not_stay_open_against_the_client(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"hello", headers=[length(b"hello"), (b"connection", b"keep-alive")]))
    with server.connect() as client:
        assert client.exchange(raw.request(version="1.0")).body == b"hello"
        assert client.wait_closed() == b""

"""A server that another one has replaced: it closes no connection under a request."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from bicorn._bicorn import Heartbeat
from tests import raw, raw_http2, raw_websocket
from tests.apps import Gate, Receive, Scope, Send, body, hello, start
from tests.conftest import Serve, ServeProcess
from tests.serving import Served

ours = pytest.mark.differs_from_uvicorn("its workers close what is idle, under a request that is on its way")


@ours
def test_idle_connection_is_kept_for_one_more_request(serve: Serve) -> None:
    with serve(hello) as server, server.connect() as used, server.connect() as fresh:
        used.exchange(raw.request())
        server.server.retire()
        server.logs.wait_for("Shutting down")
        for client in (used, fresh):
            # It may be asked just before it retires.
            while True:
                response = client.exchange(raw.request())
                assert (response.status, response.body) == (200, b"hello")
                if response.header(b"connection") == b"close":
                    break
            assert client.wait_closed() == b""
        server.join()


@ours
def test_response_that_has_begun_leaves_the_connection_for_one_more_request(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/stream":
            await send(start())
            await send(body(b"first", more=True))
            await gate.wait()
            await send(body(b"last"))
        else:
            await hello(scope, receive, send)

    with serve(app) as server, server.connect() as used, server.connect() as idle:
        used.send(raw.request(target="/stream"))
        head = used.response_head()
        assert head.header(b"connection") is None
        retire(server, idle)
        gate.open()
        assert used.until(b"0\r\n\r\n") == b"5\r\nfirst\r\n4\r\nlast\r\n"
        response = used.exchange(raw.request())
        assert (response.body, response.header(b"connection")) == (b"hello", b"close")
        assert used.wait_closed() == b""
        server.join()


def retire(server: Served, idle: raw.Client) -> None:
    """Have a server retire; return when its connections know, which this one tells."""
    server.server.retire()
    server.logs.wait_for("Shutting down")
    while idle.exchange(raw.request()).header(b"connection") != b"close":
        pass


@ours
def test_websocket_is_accepted_and_told_to_come_again(serve: Serve) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await gate.wait()
            await send({"type": "websocket.accept"})
            assert (await receive())["code"] == 1012
        else:
            await hello(scope, receive, send)

    with serve(app) as server, server.connect() as client, server.connect() as idle:
        client.send(raw_websocket.handshake())
        retire(server, idle)
        gate.open()
        assert client.response_head().status == 101
        assert raw_websocket.WebSocket(client).read() == raw_websocket.Close(1012, "")
        server.join()


@ours
def test_listener_is_closed_at_once(serve: Serve) -> None:
    with serve(hello) as server, server.connect() as used:
        used.exchange(raw.request())
        server.server.retire()
        server.logs.wait_for("Shutting down")
        assert used.exchange(raw.request()).body == b"hello"
        server.join()
        with pytest.raises(ConnectionRefusedError):
            server.connect().close()


@ours
def test_connection_without_another_request_is_closed_by_its_deadline(serve: Serve) -> None:
    with serve(hello, timeout_keep_alive=1) as server, server.connect() as used:
        used.exchange(raw.request())
        since = time.monotonic()
        server.server.retire()
        assert used.wait_closed(5) == b""
        assert 0.5 < time.monotonic() - since < 3
        server.join()


@ours
def test_signal_ends_the_wait(serve: Serve) -> None:
    with serve(hello, timeout_keep_alive=60) as server, server.connect() as used:
        used.exchange(raw.request())
        server.server.retire()
        server.logs.wait_for("Shutting down")
        server.server.handle_exit(15, None)
        assert used.wait_closed(1) == b""
        server.join()


@pytest.mark.differs_from_uvicorn("it closes idle connections at once, under a request that may be on its way")
def test_sigterm_leaves_time_for_one_more_request(serve_process: ServeProcess) -> None:
    with serve_process("tests.apps:hello") as server, server.connect() as used:
        used.exchange(raw.request())
        server.signal(signal.SIGTERM)
        assert server.stderr is not None
        server.stderr.wait_for("Shutting down")
        # It may be asked just before it retires.
        while (response := used.exchange(raw.request())).header(b"connection") != b"close":
            assert response.body == b"hello"
        assert used.wait_closed() == b""
        assert server.wait() == -signal.SIGTERM


def test_sigint_does_not(serve_process: ServeProcess) -> None:
    with serve_process("tests.apps:hello") as server, server.connect() as used:
        used.exchange(raw.request())
        server.signal(signal.SIGINT)
        assert used.wait_closed(2) == b""
        assert server.wait() == 0


@ours
def test_http2_connection_is_told_and_its_streams_are_served(serve: Serve) -> None:
    with serve(hello) as server, raw_http2.Client(server.host, server.port) as client:
        assert client.exchange().status == 200
        server.server.retire()
        client.wait_goaway()
        client.wait_closed()
        server.join()


@ours
def test_http2_preface_that_comes_late_is_served(serve: Serve) -> None:
    with serve(hello) as server, server.connect() as late:
        # So much may be HTTP/1 as well.
        late.send(b"PRI * HT")
        server.server.retire()
        server.logs.wait_for("Shutting down")
        late.send(b"TP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
        # SETTINGS, and GOAWAY: whoever speaks HTTP/2 may ask again elsewhere.
        assert b"\x07" in late.wait_closed()
        server.join()


def test_heartbeat_answers_until_the_other_end_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        Heartbeat(theirs.fileno())
        theirs.close()
        ours.settimeout(5)
        for ping in (b"x", b"yz"):
            ours.sendall(ping)
            assert ours.recv(len(ping), socket.MSG_WAITALL) == ping


def test_heartbeat_needs_an_open_descriptor() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Heartbeat(-1)

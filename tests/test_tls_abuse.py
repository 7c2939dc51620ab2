"""Clients that do not speak TLS, speak it badly, or never finish: nobody else is disturbed, and no log fills."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests import raw, tls
from tests.apps import hello
from tests.conftest import Serve, ServeProcess
from tests.tls import Authority, Pair

BAD_HELLOS = 10_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost")


def client_hello() -> bytes:
    """Return the first message of a good handshake."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


# Plain HTTP.


@pytest.mark.differs_from_uvicorn("closed without an answer")
@pytest.mark.parametrize(
    "request_bytes", [raw.request(), raw.request("POST", body=b"x" * 200_000), b"PRI * HTTP/2.0\r\n\r\n"]
)
def test_plain_http_is_answered_with_400(serve: Serve, pair: Pair, request_bytes: bytes) -> None:
    with serve(hello, **pair.options) as server:
        with raw.Client("127.0.0.1", server.port) as client:
            client.send(request_bytes)
            response = client.response()
            assert (response.status, response.body) == (400, b"plain HTTP request sent to a TLS port")
            assert response.closes
            assert client.read_until_closed() == b""
        assert not any("request" in line for line in server.logs.messages), server.logs.messages


# Deadlines.


@pytest.mark.differs_from_uvicorn("no option for the deadline")
@pytest.mark.parametrize("sent", [b"", client_hello()[:50], client_hello()])
def test_a_handshake_has_a_deadline(serve: Serve, pair: Pair, sent: bytes) -> None:
    with serve(hello, **pair.options, timeout_tls_handshake=0.3) as server:
        with raw.Client("127.0.0.1", server.port) as client:
            begin = time.monotonic()
            client.send(sent)
            client.wait_closed()
            assert 0.25 < time.monotonic() - begin < 2
        assert server.logs.messages[-1].startswith("Bicorn running")


@pytest.mark.differs_from_uvicorn("no option for the deadline")
def test_drops_do_not_renew_the_deadline(serve: Serve, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, timeout_tls_handshake=0.5) as server,
        raw.Client("127.0.0.1", server.port) as client,
    ):
        begin = time.monotonic()
        client.socket.settimeout(0.05)
        with contextlib.suppress(ConnectionError, IndexError):
            for byte in client_hello():
                client.send(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if client.socket.recv(1) == b"":
                        break
        assert 0.4 < time.monotonic() - begin < 3


@pytest.mark.differs_from_uvicorn("no option for the deadline")
def test_the_deadline_ends_with_the_handshake(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, timeout_tls_handshake=0.2, timeout_keep_alive=0) as server,
        tls.connect(server.port, authority.client_context()) as client,
    ):
        assert client.exchange(raw.request()).status == 200
        client.socket.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(5)
        assert client.exchange(raw.request()).status == 200


@pytest.mark.differs_from_uvicorn("no option for the deadline")
def test_no_deadline_is_possible(serve: Serve, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, timeout_tls_handshake=0, timeout_request_head=0.1) as server,
        raw.Client("127.0.0.1", server.port) as client,
    ):
        assert client.silent_for(0.5)


# Bad handshakes.


def bad_hello(random_source: random.Random, good: bytes) -> bytes:
    """Make a first message that no handshake comes of: changed, cut, split into records, or noise."""
    kind = random_source.randrange(5)
    if kind == 0:
        changed = bytearray(good)
        for _ in range(random_source.randint(1, 20)):
            changed[random_source.randrange(len(changed))] = random_source.randrange(256)
        return bytes(changed)
    if kind == 1:
        return good[: random_source.randrange(len(good))]
    if kind == 2:
        # Records of a byte each (RUSTSEC-2024-0399).
        return b"".join(b"\x16\x03\x01\x00\x01" + good[at : at + 1] for at in range(5, random_source.randrange(6, 60)))
    if kind == 3:
        return b"\x16\x03\x01" + random_source.randbytes(random_source.randrange(2000))
    return random_source.randbytes(random_source.randrange(1, 2000))


@pytest.mark.timeout(120)
def test_bad_hellos_disturb_nobody(serve_process: ServeProcess, authority: Authority, pair: Pair) -> None:
    source = random.Random(8446)
    good = client_hello()
    context = authority.client_context()
    with serve_process("tests.apps:hello", *pair.arguments, "--no-access-log") as server:
        assert server.stderr is not None
        before = len(server.stderr.text)
        with tls.connect(server.port, context, timeout=10) as witness:
            for count in range(BAD_HELLOS):
                with (
                    socket.create_connection(("127.0.0.1", server.port), timeout=10) as client,
                    contextlib.suppress(OSError),
                ):
                    client.sendall(bad_hello(source, good))
                if count % 1000 == 0:
                    assert witness.exchange(raw.request()).body == b"hello"
            assert witness.exchange(raw.request()).body == b"hello"
        assert server.stderr.text[before:] == ""
        with tls.connect(server.port, context) as client:
            assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.differs_from_uvicorn("a reset overtakes the alert")
def test_refused_clients_hear_why(serve: Serve, pair: Pair) -> None:
    """An alert record, and then the end; no reset, although the server has not read everything."""
    with serve(hello, **pair.options) as server, raw.Client("127.0.0.1", server.port) as client:
        client.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + b"\x16" * 100_000)
        assert client.read_until_closed()[:3] == b"\x15\x03\x03"


@pytest.mark.differs_from_uvicorn("no deadline for a head")
def test_a_head_that_stops_is_answered(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, timeout_request_head=0.4) as server,
        tls.connect(server.port, authority.client_context()) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\n")
        assert client.response().status == 408
        assert client.read_until_closed() == b""


# Memory.


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.differs_from_uvicorn("30 KiB")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_idle_connections_are_small(serve_process: ServeProcess, authority: Authority, pair: Pair) -> None:
    context = authority.client_context()
    count = 500
    with (
        serve_process("tests.apps:hello", *pair.arguments, "--timeout-keep-alive", "60") as server,
        contextlib.ExitStack() as stack,
    ):

        def open_some() -> None:
            for _ in range(count):
                client = stack.enter_context(tls.connect(server.port, context))
                assert client.exchange(raw.request()).body == b"hello"

        # Arenas, tickets and the first interpreter state are not a connection's.
        open_some()
        before = resident_kib(server.pid)
        open_some()
        each = (resident_kib(server.pid) - before) / count
    print(f"{each:.1f} KiB each")
    assert each < 24, f"{each:.1f} KiB for an idle connection"

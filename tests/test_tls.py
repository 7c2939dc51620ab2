"""HTTP over TLS: what is negotiated, and that nothing of HTTP is lost on the way."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import raw, tls
from tests.apps import App, Receive, Scope, ScopeKeeper, Send, body, hello, responder, start
from tests.conftest import Serve, ServeProcess
from tests.tls import Authority, Pair, needs_openssl, openssl, secured

LARGE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", "127.0.0.1")


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


# What is negotiated.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("ecdsa", [True, False])
def test_versions_and_kinds_of_key(serve: Serve, authority: Authority, version: ssl.TLSVersion, ecdsa: bool) -> None:
    pair = authority.issue("localhost", name=f"kind-{ecdsa}", ecdsa=ecdsa)
    with (
        serve(hello, **pair.options) as server,
        tls.connect(server.port, only(authority.client_context(), version)) as client,
    ):
        assert secured(client).version() == version.name.replace("_", ".")
        assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.differs_from_uvicorn("no alert")
@needs_openssl
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(serve: Serve, pair: Pair, version: str) -> None:
    with serve(hello, **pair.options) as server:
        command = [
            str(tls.OPENSSL),
            "s_client",
            "-connect",
            f"127.0.0.1:{server.port}",
            version,
            "-cipher",
            "ALL:@SECLEVEL=0",
        ]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
        assert done.returncode != 0
        assert b"SSL alert number" in done.stderr, done.stderr


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning")
def test_tls12_alone(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, ssl_version=ssl.PROTOCOL_TLSv1_2) as server,
        tls.connect(server.port, authority.client_context()) as client,
    ):
        assert secured(client).version() == "TLSv1.2"


def test_ciphers(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, ssl_ciphers="ECDHE+AES256:!aNULL") as server,
        tls.connect(server.port, only(authority.client_context(), ssl.TLSVersion.TLSv1_2)) as client,
    ):
        assert secured(client).cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)


@pytest.mark.differs_from_uvicorn("no ALPN")
@pytest.mark.parametrize(("http2", "agreed"), [(True, "h2"), (False, "http/1.1")])
def test_the_better_of_both_protocols_is_agreed_to(
    serve: Serve, authority: Authority, pair: Pair, http2: bool, agreed: str
) -> None:
    with (
        serve(hello, http2=http2, **pair.options) as server,
        tls.connect(server.port, authority.client_context(alpn=["h2", "http/1.1"])) as client,
    ):
        assert secured(client).selected_alpn_protocol() == agreed


@pytest.mark.differs_from_uvicorn("no ALPN")
def test_a_client_that_speaks_http1_alone_gets_it(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options) as server,
        tls.connect(server.port, authority.client_context(alpn=["http/1.1"])) as client,
    ):
        assert secured(client).selected_alpn_protocol() == "http/1.1"
        assert client.exchange(raw.request()).status == 200


@pytest.mark.differs_from_uvicorn("no ALPN")
def test_a_client_of_another_protocol_is_refused(serve: Serve, authority: Authority, pair: Pair) -> None:
    with serve(hello, **pair.options) as server, pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        tls.connect(server.port, authority.client_context(alpn=["imap"])).close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(serve: Serve, authority: Authority, pair: Pair, version: ssl.TLSVersion) -> None:
    context = only(authority.client_context(), version)
    with serve(hello, **pair.options) as server:
        with tls.connect(server.port, context) as client:
            assert not secured(client).session_reused
            # Tickets of TLS 1.3 come behind the handshake.
            client.exchange(raw.request())
            session = secured(client).session
        with tls.connect(server.port, context, session=session) as client:
            assert secured(client).session_reused
            assert client.exchange(raw.request()).body == b"hello"


@needs_openssl
def test_openssl_resumes_sessions_without_tickets(serve: Serve, pair: Pair) -> None:
    with serve(hello, **pair.options) as server:
        where = ("-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-no_ticket", "-reconnect")
        output = openssl("s_client", *where).decode()
        assert output.count("\nReused, ") == 5, output


# HTTP over it.


@pytest.mark.differs_from_uvicorn("no TLS extension")
def test_scope(serve: Serve, authority: Authority, pair: Pair) -> None:
    app = ScopeKeeper()
    with serve(app, **pair.options) as server:
        with tls.connect(server.port, authority.client_context()) as client:
            address = client.address
            client.exchange(raw.request())
            client.exchange(raw.request())
        first, second = app.next(), app.next()
        assert first["scheme"] == "https"
        assert first["client"] == address
        assert first["extensions"]["tls"] == second["extensions"]["tls"]
        for key in ("extensions", "asgi", "state"):
            assert first[key] is not second[key]
        assert first["extensions"]["tls"] is not second["extensions"]["tls"]
        chains = [scope["extensions"]["tls"]["client_cert_chain"] for scope in (first, second)]
        assert chains[0] is not chains[1]


@pytest.mark.differs_from_uvicorn("no TLS extension")
def test_a_trusted_proxy_still_says_the_scheme(serve: Serve, authority: Authority, pair: Pair) -> None:
    app = ScopeKeeper()
    with serve(app, **pair.options) as server:
        with tls.connect(server.port, authority.client_context()) as client:
            client.exchange(raw.request(headers=[("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "1.2.3.4")]))
        scope = app.next()
        assert (scope["scheme"], scope["client"]) == ("http", ("1.2.3.4", 0))
        assert scope["extensions"]["tls"]["tls_version"] == 0x0304


def test_there_is_no_tls_extension_in_the_clear(serve: Serve) -> None:
    app = ScopeKeeper()
    with serve(app) as server, server.connect() as client:
        client.exchange(raw.request())
        assert "tls" not in app.next().get("extensions", {})


def digest_app(chunk: bytes, count: int) -> App:
    """Answer with the digest of the request's body, and then `count` chunks."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        digest = hashlib.sha256()
        while True:
            event = await receive()
            digest.update(event["body"])
            if not event["more_body"]:
                break
        await send(start(headers=[(b"x-digest", digest.hexdigest().encode())]))
        for _ in range(count):
            await send(body(chunk, more=True))
        await send(body())

    return app


def test_large_bodies_go_both_ways(serve: Serve, authority: Authority, pair: Pair) -> None:
    content = bytes(range(256)) * (LARGE // 256)
    chunk = b"0123456789abcdef" * 1000
    with (
        serve(digest_app(chunk, LARGE // len(chunk)), **pair.options) as server,
        tls.connect(server.port, authority.client_context(), timeout=20) as client,
    ):
        for _ in range(2):
            response = client.exchange(raw.request("POST", body=content))
            assert response.header(b"x-digest") == hashlib.sha256(content).hexdigest().encode()
            assert response.body == chunk * (LARGE // len(chunk))


def test_a_slow_reader_holds_the_app_back(serve: Serve, authority: Authority, pair: Pair) -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start(headers=[(b"content-length", str(4 * LARGE).encode())]))
        for _ in range(4 * LARGE // 65536):
            await send(body(b"x" * 65536, more=True))
            sent += 65536
        await send(body())

    with (
        serve(app, **pair.options) as server,
        tls.connect(server.port, authority.client_context(), receive_buffer=4096, timeout=20) as client,
    ):
        client.send(raw.request())
        head = client.response_head()
        assert head.status == 200
        # Whatever the kernel takes, it is far less than everything.
        assert client.exactly(100_000) == b"x" * 100_000
        assert sent < 2 * LARGE
        assert len(client.exactly(4 * LARGE - 100_000)) == 4 * LARGE - 100_000


def test_many_requests_share_a_connection(serve: Serve, authority: Authority, pair: Pair) -> None:
    with serve(hello, **pair.options) as server, tls.connect(server.port, authority.client_context()) as client:
        client.send(raw.request() * 20)
        assert [client.response().body for _ in range(20)] == [b"hello"] * 20


def test_a_byte_at_a_time(serve: Serve, authority: Authority, pair: Pair) -> None:
    with serve(hello, **pair.options) as server, tls.connect(server.port, authority.client_context()) as client:
        for byte in raw.request():
            client.send(bytes([byte]))
        assert client.response().body == b"hello"


def test_unix_sockets_speak_tls(serve: Serve, authority: Authority, pair: Pair, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with serve(hello, **pair.options, uds=path):
        client = raw.Client(uds=path)
        client.socket = authority.client_context().wrap_socket(client.socket, server_hostname="localhost")
        with client:
            assert client.exchange(raw.request()).body == b"hello"


# The end of a connection.


def test_the_end_is_announced(serve: Serve, authority: Authority, pair: Pair) -> None:
    context = authority.client_context()
    # Without it, an end that is not announced looks like one that is.
    options: dict[str, Any] = {"suppress_ragged_eofs": False, "server_hostname": "localhost"}
    for ending in ("Connection", "timeout"):
        with (
            serve(hello, **pair.options, timeout_keep_alive=0.2) as server,
            raw.Client("127.0.0.1", server.port) as client,
        ):
            client.socket = context.wrap_socket(client.socket, **options)
            client.exchange(raw.request(headers=[(ending, "close")]))
            assert client.read_until_closed() == b""


def test_shutdown_announces_the_end(serve: Serve, authority: Authority, pair: Pair) -> None:
    with (
        serve(hello, **pair.options, timeout_keep_alive=60) as server,
        raw.Client("127.0.0.1", server.port) as client,
    ):
        client.socket = authority.client_context().wrap_socket(
            client.socket, server_hostname="localhost", suppress_ragged_eofs=False
        )
        client.exchange(raw.request())
        server.stop()
        assert client.read_until_closed() == b""


@pytest.mark.differs_from_uvicorn("sends chunks to HTTP/1.0")
def test_what_the_end_delimits_is_told_from_what_is_cut_off(serve: Serve, authority: Authority, pair: Pair) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        raise RuntimeError("on purpose")

    request = raw.request(version="1.0")
    for app, is_whole in ((responder(b"whole", headers=()), True), (broken, False)):
        with serve(app, **pair.options) as server, raw.Client("127.0.0.1", server.port) as client:
            client.socket = authority.client_context().wrap_socket(
                client.socket, server_hostname="localhost", suppress_ragged_eofs=False
            )
            client.send(request)
            if is_whole:
                assert client.read_until_closed().endswith(b"\r\n\r\nwhole")
            else:
                with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                    client.read_until_closed()


def test_a_request_that_is_cut_off_is_a_disconnect(serve: Serve, authority: Authority, pair: Pair) -> None:
    keeper: list[Any] = []
    with serve(_keeping(keeper), **pair.options) as server:
        client = tls.connect(server.port, authority.client_context())
        client.send(raw.request("POST", headers=[("Content-Length", "10")]) + b"half")
        server.logs.wait_for("got half")
        tls.leave_without_goodbye(client)
        server.logs.wait_for("http.disconnect")
    assert keeper == [b"half", "http.disconnect"]


def _keeping(keeper: list[Any]) -> App:
    import logging

    logger = logging.getLogger("uvicorn.error")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        keeper.append((await receive())["body"])
        logger.info("got half")
        keeper.append((await receive())["type"])
        logger.info(keeper[-1])

    return app


@pytest.mark.differs_from_uvicorn("asyncio closes at close_notify")
def test_a_client_may_finish_and_still_be_answered(serve: Serve, authority: Authority, pair: Pair) -> None:
    """close_notify is to TLS what FIN is to TCP: the other direction stays open (RFC 8446 §6.1)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with serve(hello, **pair.options) as server, raw.Client("127.0.0.1", server.port) as client:
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(client.socket.recv(65536))
        peer.write(raw.request())
        # Both at once: the request, and the word that nothing follows.
        with pytest.raises(ssl.SSLWantReadError):
            peer.unwrap()
        client.send(outgoing.read())
        client.half_close()
        incoming.write(client.read_until_closed())
        assert _shown(peer).endswith(b"\r\n\r\nhello")


def _shown(peer: ssl.SSLObject) -> bytes:
    data = b""
    while True:
        try:
            data += peer.read(65536)
        except (ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLError):
            return data


# Other clients, and the command line.


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(serve_process: ServeProcess, authority: Authority, pair: Pair) -> None:
    with serve_process("tests.apps:hello", *pair.arguments) as server:
        assert server.stderr is not None
        server.stderr.wait_for(r"running on https://127\.0\.0\.1:\d+ ")
        command = ["curl", "--silent", "--show-error", "--cacert", authority.certfile, "--http1.1"]
        resolve = ["--resolve", f"localhost:{server.port}:127.0.0.1"]
        done = subprocess.run(
            [*command, *resolve, f"https://localhost:{server.port}/"], capture_output=True, check=False, timeout=20
        )
        assert (done.returncode, done.stdout) == (0, b"hello"), done.stderr


@pytest.mark.differs_from_uvicorn("BICORN_ variables")
def test_the_environment_names_the_files(serve_process: ServeProcess, authority: Authority, pair: Pair) -> None:
    environment = {"UVICORN_SSL_CERTFILE": pair.certfile, "BICORN_SSL_KEYFILE": pair.keyfile}
    with (
        serve_process("tests.apps:hello", environment=environment) as server,
        tls.connect(server.port, authority.client_context()) as client,
    ):
        assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.differs_from_uvicorn("HTTP in the clear is not answered")
def test_drain_does_not_wait_for_clients_that_say_nothing(serve: Serve, pair: Pair) -> None:
    with serve(hello, **pair.options) as server, socket.create_connection(("127.0.0.1", server.port)):
        with raw.Client("127.0.0.1", server.port) as other:
            # Once this is answered, the connection before it is accepted, too.
            assert other.exchange(raw.request()).status == 400
        server.stop()
        server.join(timeout=5)

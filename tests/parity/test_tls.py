"""What uvicorn's `ssl_*` options do, on both servers."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests import raw, tls
from tests.apps import ScopeKeeper, hello
from tests.conftest import Serve, ServeProcess
from tests.serving import import_server
from tests.tls import Authority, Pair, needs_openssl, openssl, secured


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", ecdsa=False)


def test_scope(serve: Serve, authority: Authority, pair: Pair) -> None:
    app = ScopeKeeper()
    with serve(app, **pair.options) as server:
        with tls.connect(server.port, authority.client_context()) as client:
            assert client.exchange(raw.request()).body == b"hello"
            address = client.address
        scope = app.next()
    assert scope["scheme"] == "https"
    assert scope["client"] == address
    assert scope["server"] == ("127.0.0.1", server.port)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(serve: Serve, authority: Authority, pair: Pair, version: ssl.TLSVersion) -> None:
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    with serve(hello, **pair.options) as server, tls.connect(server.port, context) as client:
        # In TLS 1.3 a client is done before its server; see `tls.shown_certificate`.
        assert client.exchange(raw.request()).status == 200
        assert secured(client).version() == version.name.replace("_", ".")


@pytest.mark.parametrize("number", [ssl.PROTOCOL_TLS_SERVER, 17])
def test_ssl_version(serve: Serve, authority: Authority, pair: Pair, number: int) -> None:
    with serve(hello, **pair.options, ssl_version=number) as server:
        assert tls.shown_certificate(server.port, authority.client_context(), "localhost") == tls.der(pair.certfile)


def test_ssl_ciphers(serve: Serve, authority: Authority, pair: Pair) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    ciphers = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:!aNULL"
    with serve(hello, **pair.options, ssl_ciphers=ciphers) as server, tls.connect(server.port, context) as client:
        cipher = secured(client).cipher()
        assert cipher is not None
        assert cipher[0] == "ECDHE-RSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(("reqs", "has_certificate", "is_served"), [
    (ssl.CERT_NONE, False, True),
    (ssl.CERT_OPTIONAL, False, True),
    (ssl.CERT_OPTIONAL, True, True),
    (ssl.CERT_REQUIRED, False, False),
    (ssl.CERT_REQUIRED, True, True),
    (2, True, True),
])  # fmt: skip
def test_ssl_cert_reqs(
    serve: Serve, authority: Authority, pair: Pair, reqs: int, has_certificate: bool, is_served: bool
) -> None:
    context = authority.client_context(authority.issue("client.test") if has_certificate else None)
    options: dict[str, Any] = {**pair.options, "ssl_cert_reqs": reqs, "ssl_ca_certs": authority.certfile}
    with serve(hello, **options) as server:
        try:
            with tls.connect(server.port, context) as client:
                seen = client.exchange(raw.request()).status == 200
        except (ssl.SSLError, ConnectionError, raw.Closed):
            seen = False
    assert seen == is_served


@needs_openssl
@pytest.mark.parametrize("form", [("rsa", "-traditional", "-aes256"), ("pkcs8", "-topk8", "-v2", "aes-256-cbc")])
def test_encrypted_keys(serve: Serve, authority: Authority, pair: Pair, tmp_path: Path, form: tuple[str, ...]) -> None:
    keyfile = str(tmp_path / "key.pem")
    openssl(*form, "-in", pair.keyfile, "-out", keyfile, "-passout", "pass:secret")
    options = {"ssl_certfile": pair.certfile, "ssl_keyfile": keyfile, "ssl_keyfile_password": "secret"}
    with serve(hello, **options) as server:
        assert tls.shown_certificate(server.port, authority.client_context(), "localhost") == tls.der(pair.certfile)


def test_one_file_for_both(serve: Serve, authority: Authority, pair: Pair, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(pair.keyfile).read_text() + Path(pair.certfile).read_text())
    with serve(hello, ssl_certfile=both) as server:
        assert tls.shown_certificate(server.port, authority.client_context(), "localhost") == tls.der(pair.certfile)


def test_is_ssl(server_name: str, pair: Pair) -> None:
    make = import_server(server_name).Config
    assert not make(hello, log_config=None).is_ssl
    assert make(hello, log_config=None, ssl_keyfile="x").is_ssl
    config = make(hello, log_config=None, **pair.options)
    assert config.is_ssl
    assert (config.ssl_certfile, config.ssl_keyfile) == (pair.certfile, pair.keyfile)


def test_where_it_runs(serve_process: ServeProcess, pair: Pair) -> None:
    with serve_process("tests.apps:hello", *pair.arguments) as server:
        assert server.stderr is not None
        server.stderr.wait_for(r"icorn running on https://127\.0\.0\.1:\d+ \(Press CTRL\+C to quit\)\n")


def test_failed_handshakes_are_not_logged(serve: Serve, authority: Authority, pair: Pair) -> None:
    with serve(hello, **pair.options) as server:
        with raw.Client("127.0.0.1", server.port) as client:
            client.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
            client.wait_closed()
        with tls.connect(server.port, authority.client_context()) as good:
            assert good.exchange(raw.request()).status == 200
        messages = [record for record in server.logs.messages if "running on" not in record]
    assert not any("SSL" in line or "TLS" in line for line in messages), messages

"""Whom a server shows which certificate (SNI), whom it serves (mutual TLS), and what the app hears of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

import bicorn
from tests import raw, tls
from tests.apps import ScopeKeeper, hello
from tests.conftest import Serve, ServeProcess
from tests.tls import Authority, Pair, needs_openssl, openssl, secured


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost")


@pytest.fixture(scope="module")
def several(authority: Authority) -> list[Pair]:
    return [
        authority.issue("first.test"),
        authority.issue("second.test", "alias.test", name="second"),
        authority.issue("*.wild.test", name="wild"),
        authority.issue("exact.wild.test", name="exact"),
    ]


def options_of(pairs: list[Pair]) -> dict[str, Any]:
    return {"ssl_certfile": [pair.certfile for pair in pairs], "ssl_keyfile": [pair.keyfile for pair in pairs]}


def without_names(authority: Authority) -> ssl.SSLContext:
    context = authority.client_context()
    context.check_hostname = False
    return context


# Several certificates.


@pytest.mark.differs_from_uvicorn("one certificate")
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("first.test", 0),
        ("second.test", 1),
        ("ALIAS.test", 1),
        ("any.wild.test", 2),
        ("exact.wild.test", 3),
        ("deep.any.wild.test", 0),
        ("wild.test", 0),
        ("unknown.test", 0),
        (None, 0),
    ],
)
def test_the_name_chooses_the_certificate(
    serve: Serve, authority: Authority, several: list[Pair], name: str | None, index: int
) -> None:
    with serve(hello, **options_of(several)) as server:
        shown = tls.shown_certificate(server.port, without_names(authority), name)
    assert shown == tls.der(several[index].certfile)


@pytest.mark.differs_from_uvicorn("one certificate")
def test_the_kind_of_key_chooses_among_equal_names(serve: Serve, authority: Authority) -> None:
    pairs = [authority.issue("localhost", name=f"kind-{ecdsa}", ecdsa=ecdsa) for ecdsa in (True, False)]
    with serve(hello, **options_of(pairs)) as server:
        for pair, cipher in zip(pairs, ("ECDSA", "RSA"), strict=True):
            context = authority.client_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(f"ECDHE+a{cipher}")
            assert tls.shown_certificate(server.port, context, "localhost") == tls.der(pair.certfile)


@pytest.mark.differs_from_uvicorn("one certificate")
def test_a_key_may_stand_in_the_file_of_its_certificate(
    serve: Serve, authority: Authority, several: list[Pair], tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(several[0].certfile).read_text() + Path(several[0].keyfile).read_text())
    certfiles, keyfiles = [both, several[1].certfile, both], [None, several[1].keyfile]
    with serve(hello, ssl_certfile=certfiles, ssl_keyfile=keyfiles) as server:
        for name, pair in (("first.test", several[0]), ("second.test", several[1])):
            assert tls.shown_certificate(server.port, authority.client_context(), name) == tls.der(pair.certfile)


@pytest.mark.differs_from_uvicorn("one certificate")
def test_options_may_be_repeated(serve_process: ServeProcess, authority: Authority, several: list[Pair]) -> None:
    arguments = [argument for pair in several for argument in pair.arguments]
    with serve_process("tests.apps:hello", *arguments) as server:
        for name, pair in (("first.test", several[0]), ("second.test", several[1])):
            assert tls.shown_certificate(server.port, authority.client_context(), name) == tls.der(pair.certfile)


def test_one_certificate_stays_a_string(pair: Pair) -> None:
    config = bicorn.Config(hello, log_config=None, **pair.options)
    assert (config.ssl_certfile, config.ssl_keyfile) == (pair.certfile, pair.keyfile)


# Client certificates.


def mutual(pair: Pair, authority: Authority, reqs: int) -> dict[str, Any]:
    return {**pair.options, "ssl_ca_certs": authority.certfile, "ssl_cert_reqs": reqs}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("strangers")).issue("stranger.test")


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.differs_from_uvicorn("no TLS extension; a refused client meets a reset")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("reqs", "client", "is_served"),
    [
        (0, None, True),
        (0, "known", True),
        (0, "stranger", True),
        (1, None, True),
        (1, "known", True),
        (1, "stranger", False),
        (2, None, False),
        (2, "known", True),
        (2, "stranger", False),
    ],
)
def test_client_certificates(
    serve: Serve,
    authority: Authority,
    pair: Pair,
    stranger: Pair,
    version: ssl.TLSVersion,
    reqs: int,
    client: str | None,
    is_served: bool,
) -> None:
    known = authority.issue("client.test", common_name="a client")
    context = authority.client_context({None: None, "known": known, "stranger": stranger}[client])
    context.minimum_version = context.maximum_version = version
    app = ScopeKeeper()
    with serve(app, **mutual(pair, authority, reqs)) as server:
        if is_served:
            with tls.connect(server.port, context) as connection:
                connection.exchange(raw.request())
            chain = app.next()["extensions"]["tls"]["client_cert_chain"]
            is_shown = reqs > 0 and client == "known"
            # OpenSSL may add the authority.
            assert [ssl.PEM_cert_to_DER_cert(pem) for pem in chain[:1]] == (
                [tls.der(known.certfile)] if is_shown else []
            )
        else:
            # The client hears why, and no reset overtakes it.
            with pytest.raises(ssl.SSLError, match="(?i)alert"), tls.connect(server.port, context) as connection:
                connection.exchange(raw.request())
        assert [line for line in server.logs.messages if "rror" in line] == []


@pytest.mark.differs_from_uvicorn("no TLS extension")
def test_resumed_sessions_keep_the_client_certificate(serve: Serve, authority: Authority, pair: Pair) -> None:
    context = authority.client_context(authority.issue("again.test", common_name="again"))
    app = ScopeKeeper()
    with serve(app, **mutual(pair, authority, 2)) as server:
        with tls.connect(server.port, context) as client:
            client.exchange(raw.request())
            session = secured(client).session
        with tls.connect(server.port, context, session=session) as client:
            assert secured(client).session_reused
            client.exchange(raw.request())
    first, second = app.next()["extensions"]["tls"], app.next()["extensions"]["tls"]
    assert first["client_cert_chain"]
    assert first == second


# What the app hears.


@pytest.mark.differs_from_uvicorn("no TLS extension")
def test_the_tls_extension(serve: Serve, authority: Authority, pair: Pair) -> None:
    app = ScopeKeeper()
    with serve(app, **pair.options) as server, tls.connect(server.port, authority.client_context()) as client:
        client.exchange(raw.request())
        cipher = secured(client).cipher()
        assert cipher is not None
    extension = app.next()["extensions"]["tls"]
    assert list(extension) == [
        "server_cert", "client_cert_chain", "client_cert_name", "client_cert_error", "tls_version", "cipher_suite",
    ]  # fmt: skip
    assert ssl.PEM_cert_to_DER_cert(extension.pop("server_cert")) == tls.der(pair.certfile)
    numbers = {
        "TLS_AES_128_GCM_SHA256": 0x1301,
        "TLS_AES_256_GCM_SHA384": 0x1302,
        "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    }
    assert extension == {
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": numbers[cipher[0]],
    }


@pytest.mark.differs_from_uvicorn("one certificate")
def test_the_extension_names_the_certificate_that_was_shown(
    serve: Serve, authority: Authority, several: list[Pair]
) -> None:
    app = ScopeKeeper()
    with (
        serve(app, **options_of(several)) as server,
        tls.connect(server.port, authority.client_context(), server_hostname="second.test") as client,
    ):
        client.exchange(raw.request())
    shown = app.next()["extensions"]["tls"]["server_cert"]
    assert ssl.PEM_cert_to_DER_cert(shown) == tls.der(several[1].certfile)


@pytest.mark.differs_from_uvicorn("no TLS extension")
@needs_openssl
def test_the_client_is_named_as_rfc_4514_says(serve: Serve, pair: Pair, authority: Authority, tmp_path: Path) -> None:
    keyfile, certfile = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subject = "/C=DE/O=Example, Inc./OU=a\\+b/CN=Jürgen Müller"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", keyfile)
    use = ("-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=critical,CA:FALSE")
    openssl("req", "-x509", *key, "-utf8", "-subj", subject, *use, "-out", certfile, "-days", "2")
    app = ScopeKeeper()
    with (
        serve(app, **{**mutual(pair, authority, 2), "ssl_ca_certs": certfile}) as server,
        tls.connect(server.port, authority.client_context(Pair(certfile, keyfile))) as client,
    ):
        client.exchange(raw.request())
    name = app.next()["extensions"]["tls"]["client_cert_name"]
    assert name == r"CN=Jürgen Müller,OU=a\+b,O=Example\, Inc.,C=DE"

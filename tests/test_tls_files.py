"""Certificates and keys: every form a key may have, every mistake, and files that change while a server runs."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

import bicorn
from bicorn.config import ConfigError
from tests import raw, tls
from tests.apps import hello
from tests.conftest import Serve, ServeProcess
from tests.serving import Served
from tests.tls import Authority, Pair, needs_openssl, openssl

PASSWORD = "pass word ü"

# How OpenSSL writes keys: arguments behind `-in FILE -out FILE`.
PLAIN = {
    "pkcs8": ("pkcs8", "-topk8", "-nocrypt"),
    "traditional": ("rsa", "-traditional"),
}
ENCRYPTED = {
    **{
        f"traditional-{cipher}": ("rsa", "-traditional", f"-{cipher}")
        for cipher in ("aes128", "aes192", "aes256", "des3")
    },
    **{f"pbes2-{cipher}": ("pkcs8", "-topk8", "-v2", cipher) for cipher in ("aes-128-cbc", "aes-256-cbc", "des3")},
    "pbes2-sha1": ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"),
    "pbes2-sha512": ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"),
    "scrypt": ("pkcs8", "-topk8", "-scrypt"),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost")


@pytest.fixture(scope="module")
def rsa_pair(authority: Authority) -> Pair:
    return authority.issue("localhost", name="rsa", ecdsa=False)


def answer(server: Served, authority: Authority) -> bytes:
    with tls.connect(server.port, authority.client_context()) as client:
        return client.exchange(raw.request()).body


# Forms of keys.


@needs_openssl
@pytest.mark.parametrize("form", PLAIN)
def test_forms_of_keys(serve: Serve, authority: Authority, rsa_pair: Pair, tmp_path: Path, form: str) -> None:
    keyfile = str(tmp_path / "key.pem")
    openssl(*PLAIN[form], "-in", rsa_pair.keyfile, "-out", keyfile)
    with serve(hello, ssl_certfile=rsa_pair.certfile, ssl_keyfile=keyfile) as server:
        assert answer(server, authority) == b"hello"


@needs_openssl
@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_curves(serve: Serve, tmp_path: Path, curve: str) -> None:
    """Keys as `openssl ecparam` writes them, behind a section of parameters."""
    keyfile, certfile = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    openssl("ecparam", "-genkey", "-name", curve, "-out", keyfile)
    assert "BEGIN EC PARAMETERS" in Path(keyfile).read_text()
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl("req", "-x509", "-key", keyfile, "-out", certfile, "-days", "2", *names)
    with (
        serve(hello, ssl_certfile=certfile, ssl_keyfile=keyfile) as server,
        tls.connect(server.port, ssl.create_default_context(cafile=certfile)) as client,
    ):
        assert client.exchange(raw.request()).body == b"hello"


@needs_openssl
@pytest.mark.parametrize("form", ENCRYPTED)
def test_encrypted_keys(serve: Serve, authority: Authority, rsa_pair: Pair, tmp_path: Path, form: str) -> None:
    keyfile = str(tmp_path / "key.pem")
    openssl(*ENCRYPTED[form], "-in", rsa_pair.keyfile, "-out", keyfile, "-passout", f"pass:{PASSWORD}")
    assert "ENCRYPTED" in Path(keyfile).read_text()
    options: dict[str, Any] = {"ssl_certfile": rsa_pair.certfile, "ssl_keyfile": keyfile}
    with serve(hello, **options, ssl_keyfile_password=PASSWORD) as server:
        assert answer(server, authority) == b"hello"
    for password, reason in (
        (None, "is encrypted: give --ssl-keyfile-password"),
        ("no", "wrong --ssl-keyfile-password"),
    ):
        with pytest.raises(ValueError, match=reason) as raised:
            bicorn.Config(hello, log_config=None, **options, ssl_keyfile_password=password).load()
        assert keyfile in str(raised.value)
        assert PASSWORD not in str(raised.value)


@needs_openssl
def test_encrypted_elliptic_keys(serve: Serve, authority: Authority, pair: Pair, tmp_path: Path) -> None:
    keyfile = str(tmp_path / "key.pem")
    openssl("ec", "-aes256", "-in", pair.keyfile, "-out", keyfile, "-passout", "pass:x")
    assert "BEGIN EC PRIVATE KEY" in Path(keyfile).read_text()
    with serve(hello, ssl_certfile=pair.certfile, ssl_keyfile=keyfile, ssl_keyfile_password="x") as server:
        assert answer(server, authority) == b"hello"


@pytest.mark.parametrize("key_first", [True, False])
def test_one_file_may_have_both(
    serve: Serve, authority: Authority, pair: Pair, tmp_path: Path, key_first: bool
) -> None:
    both = tmp_path / "both.pem"
    texts = [f"a comment\n{Path(path).read_text()}" for path in (pair.keyfile, pair.certfile)]
    both.write_text("\r\n".join(texts if key_first else texts[::-1]))
    with serve(hello, ssl_certfile=both) as server:
        assert answer(server, authority) == b"hello"


# Mistakes.


def mistakes(pair: Pair, other: Pair, directory: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Options by name, and the line that they lead to."""
    texts = {"empty": "", "text": "hello\n", "cut": Path(pair.certfile).read_text()[:200]}
    texts["letters"] = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"
    texts["junk"] = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"
    texts["junk key"] = "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n"
    texts["dsa"] = "-----BEGIN DSA PRIVATE KEY-----\nMAAA\n-----END DSA PRIVATE KEY-----\n"
    files = {name: str(directory / f"{name}.pem") for name in texts}
    for name, text in texts.items():
        Path(files[name]).write_text(text)
    certfile, keyfile, missing = pair.certfile, pair.keyfile, str(directory / "missing.pem")

    def cert(name: str) -> dict[str, str]:
        return {"ssl_certfile": files.get(name, name), "ssl_keyfile": keyfile}

    def key(name: str) -> dict[str, str]:
        return {"ssl_certfile": certfile, "ssl_keyfile": files.get(name, name)}

    good = {"ssl_certfile": certfile, "ssl_keyfile": keyfile}
    return {
        "no file": (cert(missing), f"cannot use --ssl-certfile {missing}: no such file"),
        "a directory": (cert(str(directory)), f"cannot use --ssl-certfile {directory}: is a directory"),
        "no key file": (key(missing), f"cannot use --ssl-keyfile {missing}: no such file"),
        "empty": (cert("empty"), f"cannot use --ssl-certfile {files['empty']}: there is no PEM certificate in it"),
        "text": (cert("text"), f"cannot use --ssl-certfile {files['text']}: there is no PEM certificate in it"),
        "cut": (cert("cut"), f"cannot use --ssl-certfile {files['cut']}: the section CERTIFICATE has no end"),
        "letters": (
            cert("letters"),
            f"cannot use --ssl-certfile {files['letters']}: the section CERTIFICATE is not Base64",
        ),
        "junk": (
            cert("junk"),
            f"cannot use --ssl-certfile {files['junk']}: the certificate cannot be used: BadEncoding",
        ),
        "no key": (key("text"), f"cannot use --ssl-keyfile {files['text']}: there is no PEM private key in it"),
        "junk key": (
            key("junk key"),
            f"cannot use --ssl-keyfile {files['junk key']}: the private key is damaged or of an unknown kind",
        ),
        "dsa": (
            key("dsa"),
            f"cannot use --ssl-keyfile {files['dsa']}: a key of the form DSA PRIVATE KEY is not supported: use PKCS #8",
        ),
        "swapped": (
            {"ssl_certfile": keyfile, "ssl_keyfile": certfile},
            f"cannot use --ssl-certfile {keyfile}: there is no PEM certificate in it",
        ),
        "another's key": (
            key(other.keyfile),
            f"cannot use --ssl-keyfile {other.keyfile}: the private key is not that of the certificate in {certfile}",
        ),
        "certificate alone": (
            {"ssl_certfile": certfile},
            f"cannot use --ssl-certfile {certfile}: there is no private key in it, and no --ssl-keyfile was given",
        ),
        "key alone": ({"ssl_keyfile": keyfile}, f"cannot use --ssl-keyfile {keyfile}: --ssl-certfile is missing"),
        "no authorities": (
            {**good, "ssl_cert_reqs": "2"},
            "--ssl-cert-reqs 1 and 2 need --ssl-ca-certs: the authorities that client certificates are checked with",
        ),
        "bad authorities": (
            {**good, "ssl_ca_certs": files["text"]},
            f"cannot use --ssl-ca-certs {files['text']}: there is no PEM certificate in it",
        ),
        "no ciphers": (
            {**good, "ssl_ciphers": "HIGH:!ECDHE"},
            "cannot use --ssl-ciphers: no cipher suite is left of 'HIGH:!ECDHE'",
        ),
    }


# The keys of `mistakes`.
MISTAKES = [
    "no file", "a directory", "no key file", "empty", "text", "cut", "letters", "junk", "no key", "junk key", "dsa",
    "swapped", "another's key", "certificate alone", "key alone", "no authorities", "bad authorities", "no ciphers",
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(authority: Authority, pair: Pair, rsa_pair: Pair, tmp_path: Path, mistake: str) -> None:
    options, line = mistakes(pair, rsa_pair, tmp_path)[mistake]
    config = bicorn.Config("tests.no_such_module:app", log_config=None, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=".") as raised:
        config.load()
    assert str(raised.value) == line


@pytest.mark.differs_from_uvicorn("traceback, exit 1")
@pytest.mark.parametrize("mistake", ["no file", "another's key", "no authorities"])
def test_a_mistake_is_one_line_and_exit_code_3(
    serve_process: ServeProcess, authority: Authority, pair: Pair, rsa_pair: Pair, tmp_path: Path, mistake: str
) -> None:
    """It comes before the application is imported."""
    options, line = mistakes(pair, rsa_pair, tmp_path)[mistake]
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    with serve_process("tests.no_such_module:app", *arguments, wait=False) as server:
        assert server.wait() == 3
        assert server.stderr is not None
        assert server.stdout is not None
        assert server.stderr.finish() == f"ERROR:    {line}\n"
        assert server.stdout.finish() == ""


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_key_is_named(pair: Pair, tmp_path: Path) -> None:
    keyfile = shutil.copy(pair.keyfile, tmp_path / "key.pem")
    os.chmod(keyfile, 0)
    with pytest.raises(ValueError, match="permission denied"):
        bicorn.Config(hello, log_config=None, ssl_certfile=pair.certfile, ssl_keyfile=keyfile).load()


def test_more_keys_than_certificates(pair: Pair, rsa_pair: Pair) -> None:
    options: dict[str, Any] = {"ssl_certfile": [pair.certfile], "ssl_keyfile": [pair.keyfile, rsa_pair.keyfile]}
    with pytest.raises(ValueError, match="there are more key files than --ssl-certfile"):
        bicorn.Config(hello, log_config=None, **options).load()


@pytest.mark.parametrize("cipher", ["AES256-SHA", "DHE-RSA-AES256-GCM-SHA384", "nonsense", "kRSA"])
def test_impossible_ciphers_are_named(pair: Pair, cipher: str) -> None:
    with pytest.raises(ValueError, match=f"'{cipher}' is not possible; what is: .*ECDHE-RSA-AES128-GCM-SHA256"):
        bicorn.Config(hello, log_config=None, **pair.options, ssl_ciphers=f"HIGH:!aNULL:{cipher}").load()


@pytest.mark.parametrize("version", [ssl.PROTOCOL_TLS_CLIENT, 3, 4, 99])
def test_impossible_versions_are_refused(pair: Pair, version: int) -> None:
    with pytest.raises(ValueError, match=f"invalid value '{int(version)}' for ssl_version: must be 17 or 2"):
        bicorn.Config(hello, log_config=None, **pair.options, ssl_version=version).load()


def test_a_context_factory_is_refused_with_what_to_use_instead() -> None:
    config = bicorn.Config(hello, log_config=None, ssl_context_factory=lambda config, make: make())
    assert config.is_ssl
    with pytest.raises(ConfigError, match="cannot use ssl_context_factory: .*ssl_certfile"):
        config.load()


def test_enumerations_are_numbers(pair: Pair, authority: Authority) -> None:
    config = bicorn.Config(
        hello,
        log_config=None,
        **pair.options,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_ca_certs=Path(authority.certfile),
    )
    config.load()
    assert config.is_ssl


# Files that change.


def shown(server: Served, authority: Authority) -> bytes:
    return tls.shown_certificate(server.port, authority.client_context(), "localhost")


def replace(pair: Pair, by: Pair, *, key: bool = True) -> None:
    """Put other files in the place of a pair's, each at once, as certbot does."""
    for old, new in ((pair.certfile, by.certfile), (pair.keyfile, by.keyfile))[: 2 if key else 1]:
        shutil.copy(new, f"{old}.new")
        os.replace(f"{old}.new", old)


def wait_for_certificate(server: Served, authority: Authority, certfile: str) -> None:
    """Shake hands until the server shows that certificate; the test's own time limit ends it."""
    wanted = tls.der(certfile)
    while shown(server, authority) != wanted:
        pass


@pytest.mark.differs_from_uvicorn("files are read once")
def test_changed_files_are_read_again(serve: Serve, authority: Authority) -> None:
    used, first, second = (authority.issue("localhost", name=name) for name in ("used", "first", "second"))
    with serve(hello, **used.options) as server:
        with tls.connect(server.port, authority.client_context()) as old:
            assert shown(server, authority) == tls.der(used.certfile)
            for new in (first, second):
                replace(used, new)
                wait_for_certificate(server, authority, new.certfile)
            # Who is connected stays so.
            assert old.exchange(raw.request()).body == b"hello"
        lines = [line for line in server.logs.messages if "certificates" in line]
        assert lines == ["TLS certificates changed and were read again."] * 2


@pytest.mark.differs_from_uvicorn("files are read once")
def test_a_broken_file_keeps_the_old_certificate(serve: Serve, authority: Authority) -> None:
    used, new = (authority.issue("localhost", name=name) for name in ("kept", "later"))
    before = tls.der(used.certfile)
    with serve(hello, **used.options) as server:
        replace(used, new, key=False)
        line = (
            f"TLS certificates changed, but the former ones stay in use: cannot use --ssl-keyfile {used.keyfile}: "
            f"the private key is not that of the certificate in {used.certfile}"
        )
        while line not in server.logs.messages:
            assert shown(server, authority) == before
        # It is said once, however many clients come.
        for _ in range(200):
            assert shown(server, authority) == before
        assert server.logs.messages.count(line) == 1
        Path(used.certfile).unlink()
        while server.logs.messages[-1] == line:
            assert shown(server, authority) == before
        assert server.logs.messages[-1].endswith(f"cannot use --ssl-certfile {used.certfile}: no such file")
        replace(used, new)
        wait_for_certificate(server, authority, new.certfile)


@pytest.mark.differs_from_uvicorn("files are read once")
def test_changed_authorities_are_read_again(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    used = authority.issue("localhost", name="mutual")
    trusted, stranger = authority.issue("a", name="a"), other.issue("b", name="b")
    ca_certs = shutil.copy(authority.certfile, tmp_path / "ca.pem")
    with serve(hello, **used.options, ssl_cert_reqs=2, ssl_ca_certs=ca_certs) as server:
        assert is_served(server, authority, trusted)
        assert not is_served(server, authority, stranger)
        shutil.copy(other.certfile, tmp_path / "new.pem")
        os.replace(tmp_path / "new.pem", ca_certs)
        while is_served(server, authority, trusted):
            pass
        assert is_served(server, authority, stranger)


def is_served(server: Served, authority: Authority, pair: Pair) -> bool:
    try:
        with tls.connect(server.port, authority.client_context(pair)) as client:
            return client.exchange(raw.request()).body == b"hello"
    except (ssl.SSLError, ConnectionError, raw.Closed):
        return False

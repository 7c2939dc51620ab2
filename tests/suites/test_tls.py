"""sslyze and openssl s_client on the TLS port: what may be negotiated, and what must not."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import REPOSITORY
from tests.suites import programs
from tests.suites.servers import Certificate, Running, running

pytestmark = pytest.mark.timeout(180)

APP = "tests.suites.apps:app"
REFUSED = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
SPOKEN = ("tls_1_2", "tls_1_3")
# Forward secrecy and authenticated encryption, or it is not offered.
GOOD_CIPHERS = (
    *("TLS_AES_", "TLS_CHACHA20_", "TLS_ECDHE_RSA_WITH_AES_128_GCM", "TLS_ECDHE_RSA_WITH_AES_256_GCM"),
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
)


@pytest.fixture(scope="module")
def server(suite_server: str, certificate: Certificate) -> Iterator[Running]:
    with running(suite_server, APP, certificate=certificate) as server:
        yield server


@pytest.fixture(scope="module")
def scan(server: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What sslyze found, command by command."""
    report = tmp_path_factory.mktemp("sslyze") / "report.json"
    program = programs.require(str(REPOSITORY / ".tools" / "sslyze" / "bin" / "sslyze"))
    commands = ["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--reneg", "--compression"]
    commands += ["--resum", "--fallback", "--heartbleed", "--openssl_ccs", "--robot", "--early_data"]
    # Exit code 1 says that it is not Mozilla's recommended configuration: the certificate is self-signed.
    command = [program, *commands, "--json_out", report, f"{server.host}:{server.port}"]
    programs.run(command, timeout=150, codes=(0, 1))
    (target,) = json.loads(report.read_text())["server_scan_results"]
    assert target["scan_status"] == "COMPLETED", target
    results: dict[str, Any] = target["scan_result"]
    return results


def found(scan: dict[str, Any], command: str) -> Any:
    """Return the result of one command, which must have been carried out."""
    attempt = scan[command]
    assert attempt["status"] == "COMPLETED", attempt
    return attempt["result"]


@pytest.mark.parametrize("version", REFUSED)
def test_old_versions_are_refused(version: str, scan: dict[str, Any]) -> None:
    assert found(scan, f"{version}_cipher_suites")["accepted_cipher_suites"] == []


@pytest.mark.parametrize("version", SPOKEN)
def test_current_versions_have_good_ciphers_only(version: str, scan: dict[str, Any]) -> None:
    accepted = found(scan, f"{version}_cipher_suites")["accepted_cipher_suites"]
    names = [suite["cipher_suite"]["name"] for suite in accepted]
    assert names
    assert [name for name in names if not name.startswith(GOOD_CIPHERS)] == []


def test_there_is_no_renegotiation(scan: dict[str, Any]) -> None:
    result = found(scan, "session_renegotiation")
    assert not result["is_vulnerable_to_client_renegotiation_dos"]
    assert result["supports_secure_renegotiation"]


def test_there_is_no_compression_and_no_early_data(scan: dict[str, Any]) -> None:
    assert not found(scan, "tls_compression")["supports_compression"]
    assert not found(scan, "tls_1_3_early_data")["supports_early_data"]


def test_known_holes_are_shut(scan: dict[str, Any]) -> None:
    assert not found(scan, "heartbleed")["is_vulnerable_to_heartbleed"]
    assert not found(scan, "openssl_ccs_injection")["is_vulnerable_to_ccs_injection"]
    assert found(scan, "robot")["robot_result"].startswith("NOT_VULNERABLE")
    assert found(scan, "tls_fallback_scsv")["supports_fallback_scsv"]


def test_tls12_sessions_resume(scan: dict[str, Any]) -> None:
    result = found(scan, "session_resumption")
    by_id, by_ticket = (result[f"{way}_resumption_result"] for way in ("session_id", "tls_ticket"))
    assert "FULLY_SUPPORTED" in (by_id, by_ticket), result


def s_client(server: Running, *words: str) -> str:
    """Connect with openssl, end at once and return what it prints."""
    address = f"{server.host}:{server.port}"
    command = [programs.require("openssl"), "s_client", "-connect", address, "-servername", "localhost", *words]
    done = subprocess.run(command, input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("h2", "h2")],
    ids=["both", "both, the other way round", "http/1.1", "h2"],
)
def test_alpn_prefers_http2(offered: str, chosen: str, server: Running) -> None:
    assert f"ALPN protocol: {chosen}" in s_client(server, "-alpn", offered)


def test_peer_without_alpn_gets_http1(server: Running) -> None:
    assert "No ALPN negotiated" in s_client(server)
    command = [
        programs.require("curl"),
        "--silent",
        "--insecure",
        "--no-alpn",
        "-w",
        "%{http_version}",
        "-o",
        "/dev/null",
    ]
    assert programs.run([*command, f"{server.url}/"]) == "1.1"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_session_resumes_with_openssl(version: str, server: Running, tmp_path: Path) -> None:
    session = tmp_path / "session.pem"
    # A TLS 1.3 ticket comes after the handshake: the answer to a request is behind it.
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    address = ["-connect", f"{server.host}:{server.port}", version, "-ign_eof"]
    for words in (["-sess_out", str(session)], ["-sess_in", str(session)]):
        done = subprocess.run(
            [programs.require("openssl"), "s_client", *address, *words],
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    assert b"Reused, TLSv1" in done.stdout, done.stdout.decode(errors="replace")[-3000:]


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_cannot_go_below_tls12(version: str, server: Running) -> None:
    # Security level 0, so that it is the server that refuses and not the client.
    assert "Cipher is (NONE)" in s_client(server, version, "-cipher", "DEFAULT@SECLEVEL=0")


def test_garbage_and_plain_http_disturb_nobody(server: Running) -> None:
    for greeting in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 3000):
        with socket.create_connection((server.host, server.port), timeout=5) as plain:
            plain.sendall(greeting)
    assert programs.run([programs.require("curl"), "--silent", "--insecure", f"{server.url}/scope"])

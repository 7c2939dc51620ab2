"""curl, nghttp and h2load as clients: each version of HTTP, on clear and over TLS, with bodies both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suites import programs
from tests.suites.apps import BIG, TEXT
from tests.suites.servers import Certificate, Running, running

pytestmark = pytest.mark.timeout(120)

APP = "tests.suites.apps:app"
UPLOAD_BYTES = 3 * 1024 * 1024
# curl's option, the scheme it is for, and what the app must see in its scope.
VERSIONS = [
    ("--http1.0", "http", "1.0"),
    ("--http1.1", "http", "1.1"),
    ("--http2-prior-knowledge", "http", "2"),
    ("--http1.1", "https", "1.1"),
    ("--http2", "https", "2"),
]
# A server may take the upgrade of RFC 7540, which RFC 9113 dropped, or leave it: the answer is right either way.
UPGRADE = ("--http2", "http")


@pytest.fixture(scope="module")
def clear(suite_server: str) -> Iterator[Running]:
    with running(suite_server, APP) as server:
        yield server


@pytest.fixture(scope="module")
def encrypted(suite_server: str, certificate: Certificate) -> Iterator[Running]:
    with running(suite_server, APP, certificate=certificate) as server:
        yield server


@pytest.fixture(params=VERSIONS, ids=lambda version: f"{version[1]} {version[0]}")
def version(request: pytest.FixtureRequest, clear: Running, encrypted: Running) -> tuple[str, Running, str]:
    option, scheme, seen = request.param
    return option, encrypted if scheme == "https" else clear, seen


def curl(*words: str) -> str:
    return programs.run([programs.require("curl"), "--silent", "--show-error", "--fail", "--insecure", *words])


def test_curl_speaks_http2() -> None:
    features = curl("--version").partition("Features:")[2].split()
    assert "HTTP2" in features
    assert "SSL" in features


def test_curl_sees_the_version_it_asked_for(version: tuple[str, Running, str]) -> None:
    option, server, seen = version
    scope = json.loads(curl(option, f"{server.url}/scope"))
    assert scope == {"http_version": seen, "scheme": "https" if server.is_tls else "http", "method": "GET"}
    assert curl(option, "-o", "/dev/null", "-w", "%{http_version}", f"{server.url}/") in (seen, "1.1")


def test_curl_downloads_and_uploads(version: tuple[str, Running, str], tmp_path: Path) -> None:
    option, server, _ = version
    downloaded, upload, echoed = tmp_path / "downloaded", tmp_path / "upload", tmp_path / "echoed"
    curl(option, "-o", str(downloaded), f"{server.url}/stream")
    assert downloaded.read_bytes() == BIG
    upload.write_bytes(bytes(range(256)) * (UPLOAD_BYTES // 256))
    curl(option, "-H", "Expect:", "--data-binary", f"@{upload}", "-o", str(echoed), f"{server.url}/echo")
    assert echoed.read_bytes() == upload.read_bytes()


def test_curl_head_has_no_body(version: tuple[str, Running, str]) -> None:
    option, server, _ = version
    head = curl(option, "--head", f"{server.url}/")
    assert f"content-length: {len(TEXT)}" in head.lower()


# curl 7.88 sends the preface again when it reuses a connection of prior knowledge; nghttp and h2load do not.
@pytest.mark.parametrize("version", [one for one in VERSIONS if one[0] != "--http2-prior-knowledge"], indirect=True)
def test_curl_reuses_one_connection(version: tuple[str, Running, str]) -> None:
    option, server, seen = version
    url = f"{server.url}/"
    counts = curl(option, *(("-o", "/dev/null") * 5), "-w", "%{num_connects} ", *([url] * 5)).split()
    assert counts == (["1"] * 5 if seen == "1.0" else ["1", "0", "0", "0", "0"])


def test_curl_that_offers_an_upgrade_is_answered(clear: Running) -> None:
    assert curl(UPGRADE[0], f"{clear.url}/") == TEXT.decode()


@pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])
def test_nghttp_downloads_several_at_once(is_tls: bool, clear: Running, encrypted: Running) -> None:
    server = encrypted if is_tls else clear
    urls = [f"{server.url}{path}" for path in ("/", "/big", "/stream", "/scope")]
    output = programs.run([programs.require("nghttp"), "--null-out", "--stat", "--no-verify-peer", *urls])
    rows = re.findall(r"^ +\d+ .* (\d{3}) +(\S+) (/\S*)$", output, re.MULTILINE)
    assert sorted((status, path) for status, _, path in rows) == sorted(
        ("200", path) for path in ("/", "/big", "/stream", "/scope")
    ), output


@pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])
def test_nghttp_uploads_with_padding_and_continuation(
    is_tls: bool, clear: Running, encrypted: Running, tmp_path: Path
) -> None:
    server = encrypted if is_tls else clear
    upload = tmp_path / "upload"
    upload.write_text("0123456789abcdef" * (UPLOAD_BYTES // 16))
    words = ["--no-verify-peer", "--padding=64", "--continuation", "--data", str(upload)]
    assert programs.run([programs.require("nghttp"), *words, f"{server.url}/echo"]) == upload.read_text()


@pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("path", ["/", "/echo"], ids=["get", "post"])
def test_h2load_gets_every_answer(path: str, is_tls: bool, clear: Running, encrypted: Running, tmp_path: Path) -> None:
    server = encrypted if is_tls else clear
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 20_000)
    words = ["-n", "5000", "-c", "16", "-m", "16", *(("-d", str(upload)) if path == "/echo" else ())]
    output = programs.run([programs.require("h2load"), *words, f"{server.url}{path}"], timeout=60)
    done = re.search(r"requests: 5000 total, .* 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout", output)
    assert done, output
    assert "status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx" in output

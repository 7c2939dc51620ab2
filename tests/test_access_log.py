"""Access lines as bytes on stdout: the default road, and every change to logging that must lead off it.

The servers are processes of their own, because a handler of the test itself would count as a change.
"""

from __future__ import annotations

import http
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import raw, serving
from tests.access_log_app import CHANGES
from tests.conftest import ServeProcess
from tests.serving import ServedProcess

pytestmark = pytest.mark.parity
APP = "tests.access_log_app:app"


@pytest.fixture(scope="module")
def default(server_name: str) -> Iterator[ServedProcess]:
    with serving.serve_process(APP, server_name=server_name) as server:
        yield server


def line_of(server: ServedProcess, request: bytes, status: int = 200) -> tuple[str, str]:
    """Send a request; return the access line it made, and the client's address."""
    assert server.stdout is not None
    before = len(server.stdout.text)
    with server.connect() as client:
        response = client.exchange(request)
        assert response.status == status
        address = "{}:{}".format(*client.address)
    match = server.stdout.wait_for(re.escape(server.stdout.text[:before]) + r"(.*\n)")
    return match[1], address


def test_default_line(default: ServedProcess) -> None:
    line, address = line_of(default, raw.request(target="/a?b=1"))
    assert line == f'INFO:     {address} - "GET /a?b=1 HTTP/1.1" 200 OK\n'


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a%20b?c%20d", "/a%20b?c%20d"),
        ("/%E2%82%AC", "/%E2%82%AC"),
        ("/%ff", "/%EF%BF%BD"),
        ("/%0A%1B%5B31m", "/%0A%1B%5B31m"),
        ("/%00%7f", "/%00%7F"),
        ("/a;b=c,d:e@f", "/a%3Bb%3Dc%2Cd%3Ae%40f"),
        ("/-._~", "/-._~"),
        ('/"quoted"', "/%22quoted%22"),
        ("/%25", "/%25"),
        ("/?", "/"),
        ("/?percent%", "/?percent%"),
    ],
)
def test_path_is_quoted_and_the_query_is_not(target: str, shown: str, default: ServedProcess) -> None:
    line, address = line_of(default, raw.request(target=target))
    assert line == f'INFO:     {address} - "GET {shown} HTTP/1.1" 200 OK\n'


@pytest.mark.parametrize("status", [201, 204, 299, 301, 404, 418, 422, 500, 503, 599])
def test_status_has_the_phrase_of_the_running_python(status: int, default: ServedProcess) -> None:
    known = {one.value: one.phrase for one in http.HTTPStatus}
    line, address = line_of(default, raw.request(target=f"/status/{status}"), status)
    assert line == f'INFO:     {address} - "GET /status/{status} HTTP/1.1" {status} {known.get(status, "")}\n'


def test_version_and_method(default: ServedProcess) -> None:
    line, address = line_of(default, raw.request("POST", version="1.0", body=b"x"))
    assert line == f'INFO:     {address} - "POST / HTTP/1.0" 200 OK\n'


@pytest.mark.parametrize(
    ("forwarded", "shown"),
    [("1.2.3.4", "1.2.3.4:0"), ("1.2.3.4:99", "1.2.3.4:99"), ("[::2]:9", "::2:9"), ("\xe9", "é:0"), ('a" b', 'a" b:0')],
)
def test_forwarded_client(forwarded: str, shown: str, default: ServedProcess) -> None:
    line, _ = line_of(default, raw.request(headers=[("X-Forwarded-For", forwarded)]))
    assert line == f'INFO:     {shown} - "GET / HTTP/1.1" 200 OK\n'


def test_unix_socket_has_an_empty_client(tmp_path: Path, serve_process: ServeProcess) -> None:
    path = str(tmp_path / "socket")
    with serve_process(APP, "--uds", path, wait=False, port=None) as server:
        assert server.stderr is not None
        assert server.stdout is not None
        server.stderr.wait_for("running on unix socket")
        with raw.Client(uds=path) as client:
            client.exchange(raw.request())
        server.stdout.wait_for("\n")
    assert server.stdout.text == 'INFO:      - "GET / HTTP/1.1" 200 OK\n'


def test_ipv6_client_has_no_brackets(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--host", "::1") as server:
        line, address = line_of(server, raw.request())
    assert address.startswith("::1:")
    assert line == f'INFO:     {address} - "GET / HTTP/1.1" 200 OK\n'


def test_lines_are_in_the_order_of_the_requests(default: ServedProcess) -> None:
    assert default.stdout is not None
    targets = [f"/order/{number}" for number in range(200)]
    with default.connect() as client:
        client.send(b"".join(raw.request(target=target) for target in targets))
        for _ in targets:
            client.response()
    default.stdout.wait_for("/order/199 .*\n")
    assert re.findall(r"GET (/order/\d+) ", default.stdout.text) == targets


def test_what_the_app_prints_is_before_its_line(default: ServedProcess) -> None:
    assert default.stdout is not None
    line_of(default, raw.request(target="/print"))
    default.stdout.wait_for('the app prints\nINFO: .* - "GET /print HTTP/1.1" 200 OK\n')


def test_nothing_but_access_lines_is_on_stdout(serve_process: ServeProcess) -> None:
    with serve_process(APP) as server:
        line, _ = line_of(server, raw.request())
    assert server.stdout is not None
    assert server.stdout.text == line
    assert server.stderr is not None
    assert "Started server process" in server.stderr.text


def test_colors(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--use-colors") as server:
        for status, code in ((200, "32"), (301, "33"), (404, "31"), (503, "91")):
            line, address = line_of(server, raw.request(target=f"/status/{status}"), status)
            phrase = http.HTTPStatus(status).phrase
            assert line == (
                f"\x1b[32mINFO\x1b[0m:     {address} - "
                f'"\x1b[1mGET /status/{status} HTTP/1.1\x1b[0m" \x1b[{code}m{status} {phrase}\x1b[0m\n'
            )


def test_no_access_log(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--no-access-log") as server, server.connect() as client:
        client.exchange(raw.request())
    assert server.stdout is not None
    assert server.stdout.text == ""


def test_log_config_with_a_format_of_its_own(tmp_path: Path, server_name: str, serve_process: ServeProcess) -> None:
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "access": {
                "()": f"{server_name}.logging.AccessFormatter",
                "fmt": "%(client_addr)s|%(request_line)s|%(status_code)s|%(levelprefix)s",
                "use_colors": False,
            },
            "default": {"format": "%(message)s"},
        },
        "handlers": {
            "access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"},
            "default": {"class": "logging.StreamHandler", "formatter": "default", "stream": "ext://sys.stderr"},
        },
        "loggers": {
            "uvicorn": {"handlers": ["default"], "level": "INFO"},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        },
    }
    path = tmp_path / "log.json"
    path.write_text(json.dumps(config))
    with serve_process(APP, "--log-config", str(path)) as server:
        line, address = line_of(server, raw.request(target="/x"))
    assert line == f"{address}|GET /x HTTP/1.1|200 OK|INFO:    \n"


# What stdout and stderr show of the requests "/silent" and "/loud" after a change; {} is the client's address.
PLAIN = 'INFO:     {} - "GET %s HTTP/1.1" 200 OK\n'
BOTH = [PLAIN % "/silent", PLAIN % "/loud"]
AFTER_CHANGE: dict[str, tuple[list[str], list[str]]] = {
    "none": (BOTH, []),
    "logger-filter": (BOTH[1:], []),
    "handler-filter": (BOTH[1:], []),
    "logger-level": ([], []),
    "handler-level": ([], []),
    "logging-disable": ([], []),
    "logger-disabled": ([], []),
    "format": (["changed {} 200 OK\n"] * 2, []),
    "formatter": ([f"args=('{{}}', 'GET', '{path}', '1.1', 200)\n" for path in ("/silent", "/loud")], []),
    "patched-class": (["patched " + line for line in BOTH], []),
    # The access formatter does not use the message.
    "record-factory": (BOTH, []),
    "second-handler": (
        BOTH,
        [f'second handler: {{}} - "GET {path} HTTP/1.1" 200\n' for path in ("/silent", "/loud")],
    ),
    "stream": ([], BOTH),
    "propagate": (BOTH, [f'INFO:     {{}} - "GET {path} HTTP/1.1" 200\n' for path in ("/silent", "/loud")]),
    "terminator": ([line[:-1] + "|\n" for line in BOTH], []),
    "colors": (
        [
            f'\x1b[32mINFO\x1b[0m:     {{}} - "\x1b[1mGET {path} HTTP/1.1\x1b[0m" \x1b[32m200 OK\x1b[0m\n'
            for path in ("/silent", "/loud")
        ],
        [],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_while_serving_takes_effect(change: str, serve_process: ServeProcess) -> None:
    stdout, stderr = AFTER_CHANGE[change]
    with serve_process(APP) as server:
        with server.connect() as client:
            client.exchange(raw.request(target=f"/change/{change}"))
        with server.connect() as client:
            client.exchange(raw.request(target="/silent"))
            client.exchange(raw.request(target="/loud"))
            address = "{}:{}".format(*client.address)
    assert server.stdout is not None
    assert server.stderr is not None
    seen = [line for line in server.stdout.text.splitlines(keepends=True) if "/change/" not in line]
    assert [line for line in seen if address in line] == [line.replace("{}", address) for line in stdout]
    seen = server.stderr.text.splitlines(keepends=True)
    assert [line for line in seen if address in line] == [line.replace("{}", address) for line in stderr]

"""Log records as handlers and filters see them: logger, level, message, args, and when they come."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import raw
from tests.apps import Gate, Receive, Scope, Send, Sending, body, hello, responder, start
from tests.conftest import Serve, ServeShared

ACCESS = "uvicorn.access"


def access_record(server: Any, request: bytes, status: int = 200) -> tuple[logging.LogRecord, str]:
    """Return the one access record of a request, and the client's address as the record should show it."""
    with server.connect() as client:
        assert client.exchange(request).status == status
        address = "{}:{}".format(*client.address)
    record = server.logs.wait_for("", logger_name=ACCESS)
    assert server.logs.of(ACCESS) == [record]
    return record, address


def test_access_record(serve_shared: ServeShared) -> None:
    record, address = access_record(serve_shared(hello), raw.request(target="/a?b=1"))
    assert (record.name, record.levelno, record.levelname) == (ACCESS, logging.INFO, "INFO")
    assert record.msg == '%s - "%s %s HTTP/%s" %d'
    assert record.args == (address, "GET", "/a?b=1", "1.1", 200)
    assert isinstance(record.args, tuple)
    assert [type(part) for part in record.args] == [str, str, str, str, int]
    assert record.getMessage() == f'{address} - "GET /a?b=1 HTTP/1.1" 200'
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        ("/a%20b", "/a%20b"),
        ("/a b".replace(" ", "%20") + "?c d".replace(" ", "%20"), "/a%20b?c%20d"),
        ("/%C3%A9", "/%C3%A9"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%FF", "/%EF%BF%BD"),
        ("/%1B[31m", "/%1B%5B31m"),
        ("/%0D%0Aline", "/%0D%0Aline"),
        ("/~user/(x)!*'", "/~user/%28x%29%21%2A%27"),
        ("/a;b,c:d@e&f=g+h$", "/a%3Bb%2Cc%3Ad%40e%26f%3Dg%2Bh%24"),
        ("/?q=%22%0a&r=a b".replace(" ", "+"), "/?q=%22%0a&r=a+b"),
        ("/?", "/"),
    ],
)
def test_access_record_quotes_the_path_and_not_the_query(target: str, logged: str, serve_shared: ServeShared) -> None:
    record, _ = access_record(serve_shared(hello), raw.request(target=target))
    assert isinstance(record.args, tuple)
    assert record.args[2] == logged


def test_access_record_has_the_root_path(serve: Serve) -> None:
    with serve(hello, root_path="/root") as server:
        record, _ = access_record(server, raw.request(target="/a"))
    assert isinstance(record.args, tuple)
    assert record.args[2] == "/root/a"


@pytest.mark.parametrize(("version", "method"), [("1.0", "GET"), ("1.1", "HEAD"), ("1.1", "DELETE")])
def test_access_record_of_version_and_method(version: str, method: str, serve_shared: ServeShared) -> None:
    record, address = access_record(serve_shared(hello), raw.request(method, version=version))
    assert record.args == (address, method, "/", version, 200)


def test_access_record_comes_at_the_start_of_the_response(serve_shared: ServeShared) -> None:
    gate = Gate()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(202))
        await gate.wait()
        await send(body())

    server = serve_shared(app)
    with server.connect() as client:
        client.send(raw.request())
        client.response_head()
        record = server.logs.wait_for("", logger_name=ACCESS)
        gate.open()
    assert isinstance(record.args, tuple)
    assert record.args[4] == 202


@pytest.mark.parametrize("app", [Sending(), Sending(body(b"x"))], ids=["returns", "raises"])
def test_access_record_of_a_500(app: Callable[..., Any], serve_shared: ServeShared) -> None:
    record, address = access_record(serve_shared(app), raw.request(), status=500)
    assert record.args == (address, "GET", "/", "1.1", 500)


def test_malformed_request_has_no_access_record(serve_shared: ServeShared) -> None:
    server = serve_shared(hello)
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
        client.wait_closed()
    server.logs.wait_for("Invalid HTTP request received.")
    assert server.logs.of(ACCESS) == []


def test_access_record_of_a_unix_socket_has_no_client(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "socket")
        with serve(hello, uds=path) as server:
            with raw.Client(uds=path) as client:
                client.exchange(raw.request())
            record = server.logs.wait_for("", logger_name=ACCESS)
    assert record.args == ("", "GET", "/", "1.1", 200)


def test_filter_on_the_logger_sees_and_stops_records(serve: Serve) -> None:
    seen: list[Any] = []

    def without_health_checks(record: logging.LogRecord) -> bool:
        # The recipe found in public code.
        assert isinstance(record.args, tuple)
        seen.append(record.args[2])
        return record.args[2] != "/health"

    with serve(hello) as server:
        logging.getLogger(ACCESS).addFilter(without_health_checks)
        with server.connect() as client:
            for target in ("/health", "/other", "/health"):
                client.exchange(raw.request(target=target))
        paths = [record.args[2] for record in server.logs.of(ACCESS) if isinstance(record.args, tuple)]
    assert seen == ["/health", "/other", "/health"]
    assert paths == ["/other"]


def test_access_log_can_be_turned_off(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve(hello, access_log=False) as server, server.connect() as client:
        assert logging.getLogger(ACCESS).handlers == []
        client.exchange(raw.request())
    assert [record for record in caplog.records if record.name == ACCESS] == []


@pytest.mark.parametrize("level", ["warning", "error"])
def test_level_of_the_config_silences_access(level: str, serve: Serve) -> None:
    with serve(hello, log_level=level) as server, server.connect() as client:
        client.exchange(raw.request())
        assert server.logs.of(ACCESS) == []


def test_level_set_while_serving_is_obeyed(serve: Serve) -> None:
    with serve(hello) as server:
        for level, target in ((logging.WARNING, "/silent"), (logging.INFO, "/logged")):
            logging.getLogger(ACCESS).setLevel(level)
            with server.connect() as client:
                client.exchange(raw.request(target=target))
        paths = [record.args[2] for record in server.logs.of(ACCESS) if isinstance(record.args, tuple)]
    assert paths == ["/logged"]


def test_exception_record(serve_shared: ServeShared) -> None:
    error = ValueError("kept")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    server = serve_shared(app)
    with server.connect() as client:
        client.exchange(raw.request())
    record = server.logs.wait_for("Exception in ASGI application")
    assert (record.name, record.levelname) == ("uvicorn.error", "ERROR")
    assert record.msg == "Exception in ASGI application\n"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    formatted = logging.Formatter().format(record)
    assert formatted.startswith("Exception in ASGI application\nTraceback (most recent call last):\n")
    assert formatted.endswith("ValueError: kept")


def test_unsupported_upgrade_is_a_warning_and_a_plain_request(serve_shared: ServeShared) -> None:
    server = serve_shared(responder(b"plain"))
    with server.connect() as client:
        response = client.exchange(raw.request(headers=[("Connection", "Upgrade"), ("Upgrade", "h2c")]))
        assert (response.status, response.body) == (200, b"plain")
    record = server.logs.wait_for("Unsupported upgrade request.")
    assert record.levelname == "WARNING"

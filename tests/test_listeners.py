"""Listeners: every way to say where to listen, and what is said where that cannot be."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bicorn
from tests import raw
from tests.apps import Receive, Scope, Send, hello
from tests.conftest import Serve
from tests.embedding import ask, make, port_of, started

Ask = Callable[[], bytes]


pytestmark = pytest.mark.usefixtures("loggers_restored")


def bound_socket(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(("127.0.0.1", 0))
    return listener


@pytest.mark.parity
def test_given_sockets_are_served_unannounced_and_closed(module: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sockets = [bound_socket(), bound_socket()]
    ports = [listener.getsockname()[1] for listener in sockets]

    async def main() -> list[bytes]:
        server = make(module)
        async with started(server, sockets):
            assert len(server.servers) == 2
            return [await asyncio.to_thread(ask, port) for port in ports]

    assert asyncio.run(main()) == [b"hello", b"hello"]
    assert not any("running on" in message for message in caplog.messages)
    assert [listener.fileno() for listener in sockets] == [-1, -1]


def serve_and_ask(module: ModuleType, ask: Callable[[Any], bytes], **options: Any) -> bytes:
    async def main() -> bytes:
        server = make(module, **options)
        async with started(server):
            return await asyncio.to_thread(ask, server)

    return asyncio.run(main())


def ask_unix(path: Path) -> Callable[[Any], bytes]:
    def ask(server: Any) -> bytes:
        with raw.Client(uds=str(path)) as client:
            return client.exchange(raw.request()).body

    return ask


@pytest.mark.parity
def test_unix_socket_is_for_everybody_and_announced(
    module: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "socket"

    def ask(server: Any) -> bytes:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        return ask_unix(path)(server)

    assert serve_and_ask(module, ask, uds=str(path)) == b"hello"
    assert f"running on unix socket {path} (Press CTRL+C to quit)" in caplog.text


@pytest.mark.parity
def test_unix_socket_left_behind_is_replaced_and_its_mode_kept(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    path.chmod(0o600)

    def ask(server: Any) -> bytes:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return ask_unix(path)(server)

    assert serve_and_ask(module, ask, uds=str(path)) == b"hello"


def test_unix_socket_is_removed_unless_it_is_another_ones(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert serve_and_ask(bicorn, ask_unix(path), uds=str(path)) == b"hello"
    assert not path.exists()

    def replace(server: Any) -> bytes:
        path.rename(tmp_path / "old")
        path.write_text("another one")
        return b"replaced"

    serve_and_ask(bicorn, replace, uds=str(path))
    assert path.read_text() == "another one"


@pytest.mark.parity
def test_inherited_descriptor_is_served_and_announced(module: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with bound_socket() as inherited:
        address = inherited.getsockname()
        answer = serve_and_ask(module, lambda server: ask(address[1]), fd=inherited.fileno())
        assert answer == b"hello"
        assert inherited.fileno() > 0
    assert f"running on socket {address} (Press CTRL+C to quit)" in caplog.text


@pytest.mark.parity
@pytest.mark.parametrize("host", ["localhost", "", "127.0.0.1", "::1"])
def test_host_is_bound_on_every_family_it_has(module: ModuleType, host: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    expected = {info[0] for info in socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM)}
    families: set[int] = set()

    def ask_all(server: Any) -> bytes:
        for listener in server.servers[0].sockets:
            families.add(listener.family)
            connect_to = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
            with raw.Client(connect_to, listener.getsockname()[1]) as client:
                assert client.exchange(raw.request()).body == b"hello"
        return str(port_of(server)).encode()

    port = serve_and_ask(module, ask_all, host=host).decode()
    assert families == expected
    shown = f"[{host}]" if ":" in host else host
    assert f"running on http://{shown}:{port} (Press CTRL+C to quit)" in caplog.text


@pytest.mark.parity
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_port_in_use_is_logged_after_startup_and_exits_with_3(
    serve: Serve, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for answer in ("startup", "shutdown"):
            events.append((await receive())["type"])
            await send({"type": f"lifespan.{answer}.complete"})

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as raised, serve(app, port=port, lifespan="on", loop=loop):
            pass
    assert raised.value.code == 3
    assert events == ["lifespan.startup", "lifespan.shutdown"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    text = f"[Errno 98] error while attempting to bind on address ('127.0.0.1', {port}): "
    assert errors[0].getMessage().startswith(text)
    assert errors[0].getMessage().endswith("address already in use")


@pytest.mark.parity
def test_unknown_host_is_logged_and_exits_with_3(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as raised, serve(hello, host="no such host.invalid"):
        pass
    assert raised.value.code == 3
    assert [record.getMessage()[:9] for record in caplog.records if record.levelname == "ERROR"] == ["[Errno -2"]


@pytest.mark.differs_from_uvicorn("uvicorn shows a traceback, or says less")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (lambda path: {"uds": str(path / "missing" / "socket")}, "no such file or directory"),
        (lambda path: {"uds": str(path)}, "address already in use"),
        (lambda path: {"uds": str(path / ("x" * 200))}, "af_unix path too long"),
        (lambda path: {"fd": 987}, "bad file descriptor"),
        (lambda path: {"fd": os.open(path, os.O_RDONLY)}, "socket operation on non-socket"),
        (lambda path: {"host": "192.0.2.1"}, "cannot assign requested address"),
    ],
)
def test_listener_that_cannot_be_opened_is_one_line_and_exit_3(
    serve: Serve,
    tmp_path: Path,
    options: Callable[[Path], dict[str, Any]],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as raised, serve(hello, **options(tmp_path)):
        pass
    assert raised.value.code == 3
    (error,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert error.endswith(f": {reason}")

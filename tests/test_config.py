"""`Config` and `run`: their signatures, and what becomes of the options before a server starts."""

from __future__ import annotations

import asyncio
import errno
import importlib
import inspect
import json
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
import uvicorn.config

import bicorn
import bicorn.config
from bicorn.config import Config, ConfigError
from tests import serving
from tests.apps import hello

# What uvicorn has not.
OWN_OPTIONS = {
    "preload": False,
    "admin_bind": None,
    "drain_delay": 0.0,
    "asgi_spec": "2.3",
    "io_threads": 1,
    "sync_endpoints": "auto",
    "endpoint_threads": None,
    "limit_request_head": 65_536,
    "limit_request_fields": 100,
    "limit_request_target": 16_384,
    "timeout_request_head": 10.0,
    "timeout_request_body": 30.0,
    "timeout_write": 30.0,
    "timeout_tls_handshake": 10.0,
    "http2_max_concurrent_streams": 100,
    "http2_initial_stream_window": 65_536,
    "http2_initial_connection_window": 1_048_576,
    "http2_max_header_list": 65_536,
    "http2_timeout_idle": 75.0,
    "http2_ping_interval": 20.0,
    "http2_ping_timeout": 20.0,
}

Make = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("loggers_restored")


@pytest.fixture
def make(server_name: str, caplog: pytest.LogCaptureFixture) -> Make:
    """Make a `Config`, by default one that leaves logging to pytest."""
    # Not lower: a uvicorn of an earlier test may say at trace level that a connection is over.
    caplog.set_level(logging.DEBUG)
    module = serving.import_server(server_name)
    return lambda app=hello, **options: module.Config(app, **{"log_config": None, **options})


# Signatures.


def parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    return found


@pytest.mark.parametrize(("ours", "theirs"), [(bicorn.Config, uvicorn.Config), (bicorn.run, uvicorn.run)])
def test_options_are_those_of_uvicorn_in_its_order(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    common = [name for name in parameters(theirs) if name in parameters(ours)]
    # Not an option of a server.
    own = [name for name in parameters(ours) if name not in common and name != "show_lanes"]
    assert [*common, *own] == [name for name in parameters(ours) if name != "show_lanes"]
    assert {name: parameters(ours)[name].default for name in own} == OWN_OPTIONS
    different = {"log_config": bicorn.config.LOGGING_CONFIG, "http2": True}
    for name in common:
        mine, other = parameters(ours)[name], parameters(theirs)[name]
        assert mine.kind == other.kind
        assert mine.default == different.get(name, other.default), name


def test_run_takes_what_config_takes() -> None:
    assert parameters(bicorn.run).keys() - parameters(bicorn.Config).keys() == {"app_dir", "show_lanes"}
    # Callbacks for programs that embed a server, as in uvicorn.
    only_config = {"callback_notify", "timeout_notify"}
    assert parameters(bicorn.Config).keys() - parameters(bicorn.run).keys() == only_config
    for name, parameter in parameters(bicorn.Config).items():
        if name in only_config:
            continue
        assert parameters(bicorn.run)[name].default == parameter.default
        assert parameters(bicorn.run)[name].annotation == parameter.annotation


def test_options_are_attributes() -> None:
    config = Config(hello, log_config=None)
    for name, parameter in parameters(Config).items():
        expected: dict[str, Any] = {
            "app": hello,
            "log_config": None,
            "headers": [],
            "workers": 1,
            "reload_dirs": [],
            "reload_includes": [],
            "reload_excludes": [],
            "forwarded_allow_ips": "127.0.0.1,::1",
        }
        if name != "env_file":
            assert getattr(config, name) == expected.get(name, parameter.default)


def test_logging_config_has_the_shape_of_uvicorn() -> None:
    text = json.dumps(bicorn.config.LOGGING_CONFIG).replace("bicorn.logging.", "uvicorn.logging.")
    assert json.loads(text) == uvicorn.config.LOGGING_CONFIG


@pytest.mark.parametrize("name", ["LOG_LEVELS", "INTERFACES", "STARTUP_FAILURE", "TRACE_LOG_LEVEL"])
def test_constant_is_that_of_uvicorn(name: str) -> None:
    assert getattr(bicorn.config, name) == getattr(uvicorn.config, name)


# Environment and headers.


@pytest.mark.parity
def test_env_file_is_read_before_forwarded_allow_ips(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("FORWARDED_ALLOW_IPS=10.0.0.1\nBICORN_TEST_SET=from the file\nBICORN_TEST_NEW=new\n")
    monkeypatch.setenv("BICORN_TEST_SET", "from outside")
    for name in ("FORWARDED_ALLOW_IPS", "BICORN_TEST_NEW"):
        # Recorded by monkeypatch, so that what the file sets is gone afterwards.
        monkeypatch.setenv(name, "")
        del os.environ[name]
    config = make(env_file=str(env_file))
    assert config.forwarded_allow_ips == "10.0.0.1"
    assert (os.environ["BICORN_TEST_SET"], os.environ["BICORN_TEST_NEW"]) == ("from outside", "new")
    assert caplog.messages == [f"Loading environment from '{env_file}'"]


def test_missing_dotenv_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    with pytest.raises(ConfigError, match=r"^cannot use --env-file \.env: the python-dotenv package is not installed$"):
        Config(hello, log_config=None, env_file=".env")


@pytest.mark.parity
@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [(None, None, "127.0.0.1,::1"), (None, "10.0.0.1", "10.0.0.1"), ("*", "10.0.0.1", "*"), (["::1"], "*", ["::1"])],
)
def test_forwarded_allow_ips_option_wins_over_the_environment(
    make: Make, monkeypatch: pytest.MonkeyPatch, option: Any, environment: str | None, expected: Any
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if environment is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", environment)
    assert make(forwarded_allow_ips=option).forwarded_allow_ips == expected


@pytest.mark.parity
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(b"server", None)]),
        ({"headers": [("X-A", "é")]}, [(b"server", None), (b"x-a", b"\xe9")]),
        ({"headers": [("Server", "mine"), ("x-b", "")]}, [(b"server", b"mine"), (b"x-b", b"")]),
        ({"server_header": False}, []),
        ({"server_header": False, "headers": [("x-a", "1")]}, [(b"x-a", b"1")]),
    ],
)
def test_default_headers_are_encoded(
    make: Make, server_name: str, options: dict[str, Any], expected: list[tuple[bytes, bytes | None]]
) -> None:
    config = make(**options)
    config.load()
    own_name = server_name.encode()
    assert config.encoded_headers == [(name, own_name if value is None else value) for name, value in expected]


# Loops and sockets.


def custom_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop()


@pytest.mark.parity
@pytest.mark.parametrize("loop", ["asyncio", "auto", "uvloop", "tests.test_config:custom_loop"])
def test_loop_factory_makes_the_loop(make: Make, loop: str) -> None:
    factory = make(loop=loop).get_loop_factory()
    module = {"auto": "uvloop", "uvloop": "uvloop"}.get(loop, "asyncio.unix_events")
    made = factory()
    try:
        assert type(made).__module__ == module
    finally:
        made.close()


@pytest.mark.parity
def test_loop_none_leaves_the_choice_to_asyncio(make: Make) -> None:
    assert make(loop="none").get_loop_factory() is None


def test_loop_auto_is_asyncio_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert Config(hello, log_config=None).get_loop_factory() is asyncio.SelectorEventLoop


@pytest.mark.parity
def test_unknown_loop_exits_with_3(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as raised:
        make(loop="fast").get_loop_factory()
    assert raised.value.code == 3
    reason = 'Import string "fast" must be in format "<module>:<attribute>".'
    assert caplog.messages == [f"Error loading custom loop setup function. {reason}"]


def test_missing_uvloop_exits_with_3(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(SystemExit) as raised:
        Config(hello, log_config=None, loop="uvloop").get_loop_factory()
    assert raised.value.code == 3
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("cannot use --loop uvloop: ")


@pytest.mark.parity
def test_shared_socket_is_bound_inheritable_and_announced(
    make: Make, server_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with make(port=0).bind_socket() as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert listener.get_inheritable()
    name = server_name.capitalize()
    assert caplog.messages == [f"{name} running on http://127.0.0.1:{port} (Press CTRL+C to quit)"]
    color_message = f"{name} running on \033[1m%s://%s:%d\033[0m (Press CTRL+C to quit)"
    assert vars(caplog.records[0])["color_message"] == color_message


@pytest.mark.parity
def test_shared_unix_socket_is_for_everybody(
    make: Make, server_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "socket"
    with make(uds=str(path)).bind_socket():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
    name = server_name.capitalize()
    assert caplog.messages == [f"{name} running on unix socket {path} (Press CTRL+C to quit)"]


@pytest.mark.parity
def test_inherited_socket_is_announced(make: Make, server_name: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        with make(fd=inherited.fileno()).bind_socket() as listener:
            assert listener.getsockname() == inherited.getsockname()
        name = server_name.capitalize()
        assert caplog.messages == [f"{name} running on socket {inherited.getsockname()} (Press CTRL+C to quit)"]


def test_shared_socket_on_a_port_in_use_exits_with_3(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit) as raised:
            Config(hello, log_config=None, port=taken.getsockname()[1]).bind_socket()
        assert raised.value.code == 3
        assert caplog.messages == [f"[Errno {errno.EADDRINUSE}] Address already in use"]


@pytest.mark.parity
def test_attributes_that_tell_the_kind_of_server(make: Make) -> None:
    config = make()
    assert (config.is_ssl, config.use_subprocess, config.should_reload, config.reload) == (False,) * 4
    assert config.workers == 1


def test_module_is_importable_under_its_own_name() -> None:
    module: ModuleType = importlib.import_module("bicorn.config")
    assert module.Config is bicorn.Config

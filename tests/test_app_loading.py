"""From an import string to the app that is served: factories, interfaces, wrappers, and what is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bicorn.config import Config
from tests import serving
from tests.apps import Receive, Scope, Send, hello

Make = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("loggers_restored")


@pytest.fixture
def make(server_name: str, caplog: pytest.LogCaptureFixture) -> Make:
    """Make a `Config`, by default one that leaves logging to pytest."""
    caplog.set_level(1)
    module = serving.import_server(server_name)
    return lambda app=hello, **options: module.Config(app, **{"log_config": None, **options})


async def asgi3(scope: Scope, receive: Receive, send: Send) -> None: ...


def asgi2(scope: Scope) -> Any: ...


class Asgi3Object:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Asgi2Object:
    def __call__(self, scope: Scope) -> Any: ...


class Asgi2Class:
    def __init__(self, scope: Scope) -> None: ...


class AwaitableClass:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def __await__(self) -> Any: ...


@pytest.mark.parity
@pytest.mark.parametrize(
    ("app", "interface", "version"),
    [
        (asgi3, "asgi3", "3.0"),
        (Asgi3Object(), "asgi3", "3.0"),
        (AwaitableClass, "asgi3", "3.0"),
        (asgi2, "asgi2", "2.0"),
        (Asgi2Class, "asgi2", "2.0"),
        (Asgi2Object(), "asgi2", "2.0"),
        # Neither shows that it leads to a coroutine function.
        (Asgi3Object().__call__, "asgi2", "2.0"),
        (partial(asgi3), "asgi2", "2.0"),
    ],
)
def test_interface_is_detected(make: Make, app: Any, interface: str, version: str) -> None:
    config = make(app)
    config.load()
    assert (config.interface, config.asgi_version) == (interface, version)


@pytest.mark.parity
@pytest.mark.parametrize(("interface", "version"), [("asgi3", "3.0"), ("asgi2", "2.0"), ("wsgi", "3.0")])
def test_interface_may_be_chosen(make: Make, interface: str, version: str) -> None:
    config = make(interface=interface)
    config.load()
    assert (config.interface, config.asgi_version) == (interface, version)


@pytest.mark.parity
@pytest.mark.parametrize(("factory", "warns"), [(False, True), (True, False)])
def test_factory_is_called(make: Make, caplog: pytest.LogCaptureFixture, factory: bool, warns: bool) -> None:
    calls: list[None] = []

    def create_app() -> Any:
        calls.append(None)
        return hello

    config = make(create_app, factory=factory)
    config.load()
    assert (len(calls), config.interface) == (1, "asgi3")
    warning = "ASGI app factory detected. Using it, but please consider setting the --factory flag explicitly."
    assert caplog.messages == ([warning] if warns else [])


@pytest.mark.parity
def test_factory_that_needs_arguments_exits_with_3(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    config = make(lambda scope: None, factory=True)
    with pytest.raises(SystemExit) as raised:
        config.load()
    assert raised.value.code == 3
    assert caplog.messages[0].startswith("Error loading ASGI app factory: ")
    assert caplog.messages[0].endswith("missing 1 required positional argument: 'scope'")


@pytest.mark.parity
@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("no_such_module:app", 'Could not import module "no_such_module".'),
        ("tests.apps:no_such_app", 'Attribute "no_such_app" not found in module "tests.apps".'),
        ("tests.apps", 'Import string "tests.apps" must be in format "<module>:<attribute>".'),
    ],
)
@pytest.mark.parametrize("method", ["load", "load_app"])
def test_app_that_is_not_there_exits_with_3(
    make: Make, caplog: pytest.LogCaptureFixture, app: str, reason: str, method: str
) -> None:
    config = make(app)
    with pytest.raises(SystemExit) as raised:
        getattr(config, method)()
    assert raised.value.code == 3
    assert caplog.messages == [f"Error loading ASGI app. {reason}"]


@pytest.mark.parity
def test_loading_twice_is_an_assertion(make: Make) -> None:
    config = make()
    config.load()
    assert config.loaded
    with pytest.raises(AssertionError):
        config.load()


@pytest.mark.parametrize(
    ("option", "value"),
    [("port", 70_000), ("port", "eighty"), ("lifespan", "maybe"), ("interface", "cgi"), ("headers", [("a b", "c")])],
)
def test_impossible_value_is_a_value_error_that_names_it(option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=option.removesuffix("s")):
        Config(hello, log_config=None, **options).load()


@pytest.mark.parity
@pytest.mark.parametrize(("level", "wraps"), [("trace", True), ("debug", False)])
def test_events_are_logged_at_trace_level(make: Make, level: str, wraps: bool) -> None:
    config = make(log_level=level, proxy_headers=False)
    config.load()
    assert (config.loaded_app is not hello) is wraps


@pytest.mark.parity
def test_trace_lines_name_events_and_hide_contents(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"secret", "more_body": False}

    async def send(event: Any) -> None: ...

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"xyz"})
        raise RuntimeError("as asked")

    config = make(app, log_level="trace", proxy_headers=False)
    config.load()
    scope = {"type": "http", "client": ("127.0.0.1", 5), "headers": [(b"cookie", b"secret")]}
    with pytest.raises(RuntimeError):
        asyncio.run(config.loaded_app(scope, receive, send))
    prefix = "127.0.0.1:5 - ASGI [1]"
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.asgi"] == [
        prefix + " Started scope={'type': 'http', 'client': ('127.0.0.1', 5), 'headers': '<...>'}",
        prefix + " Receive {'type': 'http.request', 'body': '<6 bytes>', 'more_body': False}",
        prefix + " Send {'type': 'http.response.start', 'status': 200, 'headers': '<...>'}",
        prefix + " Send {'type': 'http.response.body', 'body': '<3 bytes>'}",
        prefix + " Raised exception",
    ]

"""Fixtures shared by every test. What they do is in `serving.py`.

`pytest --server uvicorn` runs everything on uvicorn instead, to check the tests themselves: those marked
`differs_from_uvicorn` must fail there (strictly), all others must pass.

A test on uvicorn shows that what is expected of bicorn is what uvicorn does. It has three tries: what goes wrong once
in uvicorn, or in a crowded machine under it, says nothing about bicorn. A test on bicorn has one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from tests import serving
from tests.apps import Switch
from tests.serving import Served, ServedProcess
from tests.suites.servers import NAMES as SUITE_SERVER_NAMES
from tests.suites.servers import Certificate, make_certificate

Serve = Callable[..., AbstractContextManager[Served]]
ServeProcess = Callable[..., AbstractContextManager[ServedProcess]]
ServeShared = Callable[[Any], Served]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=serving.SERVER_NAMES, help="run every test on this server only")
    parser.addoption(
        "--suite-server", choices=SUITE_SERVER_NAMES, default="bicorn", help="server under suites and abuse"
    )
    parser.addoption("--event-loop", choices=("asyncio", "uvloop"), default="asyncio", help="loop of in-thread servers")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "differs_from_uvicorn(reason): bicorn does better on purpose; must fail with --server uvicorn"
    )
    config.addinivalue_line("markers", "parity: runs on uvicorn and on bicorn and must see no difference")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests below `tests/parity`, and those marked `parity`, on both servers."""
    if "server_name" not in metafunc.fixturenames:
        return
    is_parity = "parity" in metafunc.definition.path.parts or metafunc.definition.get_closest_marker("parity")
    if is_parity:
        chosen = metafunc.config.getoption("--server")
        metafunc.parametrize("server_name", [chosen] if chosen else serving.SERVER_NAMES, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if parameters.get("server_name") == "uvicorn":
            item.add_marker(pytest.mark.flaky(reruns=2))
    if config.getoption("--server") != "uvicorn":
        return
    for item in items:
        mark = item.get_closest_marker("differs_from_uvicorn")
        if mark is not None and item.get_closest_marker("parity") is None:
            item.add_marker(pytest.mark.xfail(reason=mark.args[0], strict=True))


@pytest.fixture(scope="session")
def server_name(request: pytest.FixtureRequest) -> str:
    """The server under test: "bicorn" or "uvicorn"."""
    return request.config.getoption("--server") or "bicorn"


@pytest.fixture(scope="session")
def event_loop_name(request: pytest.FixtureRequest) -> str:
    name: str = request.config.getoption("--event-loop")
    return name


@pytest.fixture(scope="session")
def suite_server(request: pytest.FixtureRequest) -> str:
    """The server under the suites; another one than bicorn checks the suite itself."""
    name: str = request.config.getoption("--suite-server")
    return name


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A self-signed certificate for localhost, made for this session."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def serve(server_name: str, event_loop_name: str) -> Serve:
    """`with serve(app, **options) as server:` a server in a thread; see `serving.serve`."""
    return partial(serving.serve, server_name=server_name, loop=event_loop_name)


@pytest.fixture
def serve_process(server_name: str) -> ServeProcess:
    """`with serve_process("tests.apps:hello", "--workers", "2") as server:`; see `serving.serve_process`."""
    return partial(serving.serve_process, server_name=server_name)


class SharedServers:
    """One server of each name, started when first wanted and stopped at the end of the session."""

    def __init__(self, stack: ExitStack, event_loop_name: str) -> None:
        self._stack = stack
        self._event_loop_name = event_loop_name
        self._servers: dict[str, tuple[Switch, Served]] = {}

    def get(self, server_name: str) -> tuple[Switch, Served]:
        """Return the running server of that name and the switch for its app."""
        if server_name not in self._servers:
            switch = Switch()
            # A test that failed may leave its app waiting for ever: 1 s is then enough.
            options: dict[str, Any] = {"loop": self._event_loop_name, "timeout_graceful_shutdown": 1}
            options |= {"attach_error": False, "attach_access": False}
            # The server outlives the test, what it does to the loggers must not.
            with serving.logging_restored():
                served = self._stack.enter_context(serving.serve(switch, server_name=server_name, **options))
            self._servers[server_name] = (switch, served)
        return self._servers[server_name]


@pytest.fixture(scope="session")
def _shared_servers(event_loop_name: str) -> Iterator[SharedServers]:
    with ExitStack() as stack:
        yield SharedServers(stack, event_loop_name)


@pytest.fixture
def serve_shared(_shared_servers: SharedServers, server_name: str) -> Iterator[ServeShared]:
    """`server = serve_shared(app)`: one server with default options for all tests, so that each costs milliseconds.

    Its logs are those of this test. No lifespan, no options: use `serve` for those.
    """
    switch, served = _shared_servers.get(server_name)
    served.logs.clear()

    def install(app: Any) -> Served:
        switch.app = app
        return served

    with serving.logging_restored():
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.INFO)
        served.logs.attach()
        yield install
    switch.app = None


@pytest.fixture
def loggers_restored() -> Iterator[None]:
    """For tests that make a `Config` themselves: what it does to the loggers does not outlive the test."""
    with serving.logging_restored():
        yield


@pytest.fixture
def module(server_name: str) -> ModuleType:
    """`module.Config`, `module.Server`: the server's package."""
    return serving.import_server(server_name)

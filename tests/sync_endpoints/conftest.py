"""Fixtures of the tests of `def` endpoints: `mode` is a server and how it runs them.

"uvicorn" is what the others are compared with; "auto", "pool" and "off" are bicorn with that value of
`sync_endpoints`. `@pytest.mark.modes("auto", "pool")` runs a test in those only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

import bicorn
from tests import serving
from tests.serving import Served, ServedProcess
from tests.sync_endpoints.observation import Stages

MODES = ("uvicorn", "auto", "pool", "off")

ServeMode = Callable[..., AbstractContextManager[Served]]
ServeModeProcess = Callable[..., AbstractContextManager[ServedProcess]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "modes(*names): run in these modes only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mode" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("modes")
    modes: tuple[str, ...] = mark.args if mark is not None else MODES
    if metafunc.config.getoption("--server") == "uvicorn":
        modes = tuple(mode for mode in modes if mode == "uvicorn")
    metafunc.parametrize("mode", modes, scope="session")


def has_modes() -> bool:
    """Whether this bicorn knows `sync_endpoints`; "off" is what it does without."""
    return "sync_endpoints" in inspect.signature(bicorn.Config).parameters


@contextmanager
def serve_in_mode(app: Any, mode: str, event_loop_name: str = "asyncio", **options: Any) -> Iterator[Served]:
    """Serve `app` as `serving.serve` does, in that mode."""
    if mode != "uvicorn" and has_modes():
        options["sync_endpoints"] = mode
    elif mode in ("auto", "pool"):
        pytest.skip("bicorn.Config has no sync_endpoints")
    server_name = "uvicorn" if mode == "uvicorn" else "bicorn"
    with serving.serve(app, server_name=server_name, loop=event_loop_name, **options) as served:
        yield served


@pytest.fixture
def serve_mode(mode: str, event_loop_name: str) -> ServeMode:
    """`with serve_mode(app, **options) as server:` a server in a thread, in the mode of this test."""

    def serve(app: Any, **options: Any) -> AbstractContextManager[Served]:
        return serve_in_mode(app, mode, event_loop_name, **options)

    return serve


@pytest.fixture
def serve_mode_process(mode: str) -> ServeModeProcess:
    """`with serve_mode_process("tests.apps:hello") as server:` the same in a process of its own."""

    def serve(app: str, *arguments: str, **options: Any) -> AbstractContextManager[ServedProcess]:
        if mode == "uvicorn":
            return serving.serve_process(app, *arguments, server_name="uvicorn", **options)
        if has_modes():
            arguments += ("--sync-endpoints", mode)
        elif mode in ("auto", "pool"):
            pytest.skip("bicorn.Config has no sync_endpoints")
        return serving.serve_process(app, *arguments, server_name="bicorn", **options)

    return serve


@pytest.fixture(scope="module")
def stages(event_loop_name: str) -> Iterator[Stages]:
    """The servers of the family under test; see `Stages`."""

    def serve(app: Any, mode: str, **options: Any) -> AbstractContextManager[Served]:
        return serve_in_mode(app, mode, event_loop_name, **options)

    stages = Stages(serve)
    yield stages
    stages.close()

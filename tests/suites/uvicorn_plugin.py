"""pytest plugin: uvicorn's own tests on bicorn.

`pytest -p uvicorn_plugin --results FILE --without FILE` in the folder of the suite. It installs the shim before a test
module is imported. Two things are made the same, because tests look at them on their way to something else: the name in
the log and in the `server` header, and the module whose `open` reads a logging configuration. A test that takes the
default port takes a free one, for there may be somebody on that. Tests that call a class of an HTTP protocol have a
conversation over a socket instead (`uvicorn_sockets.py`).
"""

from __future__ import annotations

import builtins
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import bicorn.config
import bicorn.log_config
import bicorn.shim

bicorn.shim.install()

import uvicorn_sockets  # noqa: E402

DEFAULT_PORT = 8000


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("uvicorn")
    group.addoption("--results", type=Path, help="write how each test went, as JSON")
    group.addoption("--without", type=Path, help="leave out the tests named in this file, one a line")


def pytest_configure(config: pytest.Config) -> None:
    _take_uvicorns_name()
    _open_where_uvicorn_does()
    _take_a_free_port()
    # Those of pytest-xdist have the option too, and report to the first process.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(config.option.results))


def _take_uvicorns_name() -> None:
    def rename(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).replace("Bicorn running on", "Uvicorn running on")
        return True

    logging.getLogger("uvicorn.error").addFilter(rename)
    load = bicorn.config.Config.load

    def load_with_name(self: bicorn.config.Config) -> None:
        load(self)
        ours, theirs = (b"server", b"bicorn"), (b"server", b"uvicorn")
        self.encoded_headers = [theirs if header == ours else header for header in self.encoded_headers]

    bicorn.config.Config.load = load_with_name  # type: ignore[method-assign]


def _open_where_uvicorn_does() -> None:
    def open_for_config(*args: Any, **options: Any) -> Any:
        return vars(bicorn.config).get("open", builtins.open)(*args, **options)

    vars(bicorn.log_config)["open"] = open_for_config


def _take_a_free_port() -> None:
    bind_socket = bicorn.config.Config.bind_socket

    def bind_free_port(self: bicorn.config.Config) -> socket.socket:
        if self.port == DEFAULT_PORT:
            self.port = 0
        return bind_socket(self)

    bicorn.config.Config.bind_socket = bind_free_port  # type: ignore[method-assign]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    of_http = sys.modules.get("tests.protocols.test_http")
    if of_http is not None:
        vars(of_http)["get_connected_protocol"] = uvicorn_sockets.get_connected_protocol
    without = set(config.option.without.read_text().splitlines())
    kept = [item for item in items if without.isdisjoint((item.nodeid, item.nodeid.partition("[")[0]))]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=list(set(items) - set(kept)))
        items[:] = kept


def pytest_runtest_teardown() -> None:
    uvicorn_sockets.end_all()


class Results:
    """How each test went."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, str] = {}
        self._errors: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        if report.failed:
            self._outcomes[name] = "failed"
            self._errors.setdefault(name, f"{report.when}: {report.longreprtext}")
        elif report.when == "call" or report.skipped:
            self._outcomes.setdefault(name, report.outcome)

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps({"outcomes": self._outcomes, "errors": self._errors}))

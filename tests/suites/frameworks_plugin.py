"""pytest plugin: a framework's own test suite over real sockets.

`pytest -p frameworks_plugin --server bicorn --sync-endpoints auto --results FILE` in the folder of a suite. It puts our
`TestClient` in place of Starlette's before a test module is imported, and writes how each test went to a file.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import frameworks_client
import frameworks_server
import pytest
from starlette import testclient

testclient.TestClient = frameworks_client.TestClient  # type: ignore[misc]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("frameworks")
    group.addoption("--server", choices=("bicorn", "uvicorn"), default="bicorn", help="what serves the apps")
    group.addoption("--sync-endpoints", choices=("auto", "pool", "off"), help="bicorn's mode; only for bicorn")
    group.addoption("--results", type=Path, help="write how each test went, as JSON")
    group.addoption("--only", type=Path, help="run the tests named in this file, one a line")
    group.addoption("--without", type=Path, help="leave out the tests named in this file, one a line")


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist would know it.
    config.addinivalue_line("markers", "xdist_group(name): tests that run in the same process")
    frameworks_server.choice.choose(config.option.server, config.option.sync_endpoints)
    for name in ("uvicorn.error", "uvicorn.asgi", "uvicorn.access"):
        # Not into what a test looks at with caplog.
        logging.getLogger(name).propagate = False
    logging.getLogger("uvicorn.error").addHandler(frameworks_server.raised)
    config.pluginmanager.register(Results(config.option.results))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only, without = (_read_names(config.getoption(name)) for name in ("--only", "--without"))
    kept = [
        item
        for item in items
        if (only is None or item.nodeid in only)
        and (without is None or not without.intersection(_names_of(item)))
        and not _needs_another_loop(item)
    ]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=list(set(items) - set(kept)))
        items[:] = kept


def _read_names(path: Path | None) -> set[str] | None:
    return None if path is None else set(path.read_text().splitlines())


def _names_of(item: pytest.Item) -> tuple[str, str, str]:
    """Return the names of one test: as it is, without its parameters, and that of its module."""
    return (item.nodeid, item.nodeid.partition("[")[0], item.nodeid.partition("::")[0])


def _needs_another_loop(item: pytest.Item) -> bool:
    """Tell whether a test runs on trio, which none of the servers does."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and "trio" in str(callspec.params.get("anyio_backend", ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Any:
    try:
        return (yield)
    finally:
        frameworks_server.kept_servers.end_oldest()


class Results:
    """How each test went, and which tests had to do with a server at all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._outcomes: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._served: list[str] = []
        self._begin = time.monotonic()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        before = frameworks_server.choice.count()
        result = yield
        if frameworks_server.choice.count() > before:
            self._served.append(item.nodeid)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        if report.failed:
            self._outcomes[name] = "failed"
            self._errors.setdefault(name, f"{report.when}: {report.longreprtext}")
        elif report.when == "call" or report.skipped:
            self._outcomes.setdefault(name, report.outcome)

    def pytest_sessionfinish(self) -> None:
        frameworks_server.kept_servers.end_oldest(keep=0)
        if self._path is not None:
            results = {
                "outcomes": self._outcomes,
                "errors": self._errors,
                "served": self._served,
                "requests": frameworks_server.choice.requests,
                "servers": frameworks_server.choice.started,
                "endpoint_jobs": frameworks_server.choice.endpoint_jobs,
                "lanes": frameworks_server.choice.lanes,
                "seconds": round(time.monotonic() - self._begin, 1),
                "processor_seconds": round(time.process_time(), 1),
            }
            self._path.write_text(json.dumps(results))

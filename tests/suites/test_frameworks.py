"""FastAPI's own tests and Starlette's over real sockets: what passes on uvicorn passes on bicorn, in each mode."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator

import pytest

from tests.suites import frameworks_runs as runs
from tests.suites.frameworks_runs import Run, Runs, Suite

pytestmark = pytest.mark.timeout(60 * 60)

MODES = ("auto", "pool", "off")
by_suite = pytest.mark.parametrize("suite", runs.ALL, ids=lambda suite: suite.name)


@pytest.fixture(scope="module")
def all_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The runs that the chosen tests look at, which go on beside each other."""
    if not (runs.SUITES / ".identity").exists():
        pytest.fail("scripts/suites frameworks installs the suites")
    wanted: dict[Suite, list[str]] = {}
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if item.path == request.path and callspec is not None and "suite" in callspec.params:
            modes = wanted.setdefault(callspec.params["suite"], [])
            if "mode" in callspec.params:
                modes.append(callspec.params["mode"])
    begun = Runs(tmp_path_factory.mktemp("frameworks"))
    begun.begin(wanted)
    try:
        yield begun
    finally:
        begun.end()


@pytest.mark.parametrize("package", ["fastapi", "starlette", "uvicorn", "anyio", "python-multipart", "a2wsgi"])
def test_versions_are_those_of_pyproject(package: str) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("pyproject.toml has older frameworks for Python 3.10")
    assert runs.version(package) == importlib.metadata.version(package)


@by_suite
def test_what_fails_on_uvicorn_is_listed(suite: Suite, all_runs: Runs) -> None:
    on_uvicorn = all_runs.on_uvicorn(suite)
    failed = on_uvicorn.named("failed")
    unexplained = failed - runs.matching(failed, runs.exceptions(suite).fail_on_uvicorn)
    assert not unexplained, runs.describe(on_uvicorn.errors, unexplained)
    count = len(runs.required(suite, on_uvicorn))
    assert count >= suite.at_least
    print(f"\n{suite.name} on uvicorn: {on_uvicorn.summary}; {count} tests must pass on bicorn")


@by_suite
@pytest.mark.parametrize("mode", MODES)
def test_what_passes_on_uvicorn_passes_on_bicorn(suite: Suite, mode: str, all_runs: Runs) -> None:
    on_bicorn = all_runs.on_bicorn(suite, mode)
    missing = runs.required(suite, all_runs.on_uvicorn(suite)) - on_bicorn.named("passed")
    print(f"\n{suite.name} on bicorn, {mode}: {on_bicorn.summary}")
    assert (on_bicorn.endpoint_jobs > 0) is (mode != "off")
    assert on_bicorn.lanes >= (suite.lanes_at_least if mode == "auto" else 0)
    assert not missing, f"{len(missing)} tests that pass on uvicorn:\n\n{runs.describe(on_bicorn.errors, missing)}"
    _assert_differences_are_there(suite, on_bicorn)


def _assert_differences_are_there(suite: Suite, on_bicorn: Run) -> None:
    passed = on_bicorn.named("passed")
    without_difference = runs.matching(passed, runs.exceptions(suite).differ_on_purpose)
    assert not without_difference, f"listed as differences, but pass: {sorted(without_difference)}"

"""Runs the test suites of FastAPI and Starlette on a server, each run in a process of its own; reads how it went."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tomllib

from tests.serving import REPOSITORY

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "data" / "frameworks-requirements.txt"
EXCEPTIONS = HERE / "data" / "frameworks-exceptions.toml"
ENVIRONMENT = REPOSITORY / "target" / "venv-frameworks"
SUITES = REPOSITORY / "target" / "framework-suites"
RUN_SECONDS = 15 * 60
# The suites' own; a test on a busy machine takes longer than where they run at home.
TEST_SECONDS = 60
# What is shown of a failure; the assertion stands at the end.
ERROR_CHARACTERS = 2000
SHOWN_ERRORS = 20


@dataclass(frozen=True)
class Suite:
    """One framework's tests."""

    name: str
    # Fewer tests than this that send anything to a server are a sign that our client is not in use.
    at_least: int
    # And fewer routes than this in the endpoint lane are a sign that something in the environment keeps it closed.
    lanes_at_least: int
    # Folders that measure instead of testing.
    ignored: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is unpacked."""
        return SUITES / f"{self.name}-{version(self.name)}"


FASTAPI = Suite("fastapi", 4000, 4000, ("tests/benchmarks", "tests/memory_benchmarks"))
STARLETTE = Suite("starlette", 500, 300)
ALL = (FASTAPI, STARLETTE)


@dataclass(frozen=True)
class Exceptions:
    """Tests of one suite that need not pass everywhere, by name: a test, a test without parameters, or a module."""

    # Run nowhere: they make no sense over a socket, or it depends on chance whether they pass.
    not_run: frozenset[str]
    # Fail on uvicorn, at least on some machines.
    fail_on_uvicorn: frozenset[str]
    # Pass on uvicorn and must fail on bicorn, which does better on purpose.
    differ_on_purpose: frozenset[str]


@dataclass(frozen=True)
class Run:
    """How a run went: all outcomes, the errors of those that failed, and the tests that had to do with a server.

    With bicorn also how many jobs its endpoint threads had, and how many routes went to the lane.
    """

    outcomes: dict[str, str]
    errors: dict[str, str]
    served: frozenset[str]
    endpoint_jobs: int
    lanes: int
    summary: str

    def named(self, outcome: str) -> set[str]:
        """Return the tests with an outcome: "passed", "failed" or "skipped"."""
        return {name for name, each in self.outcomes.items() if each == outcome}


@functools.cache
def version(package: str) -> str:
    """Return the version that the requirements give for a package."""
    lines = REQUIREMENTS.read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def exceptions(suite: Suite) -> Exceptions:
    """Read the exceptions of a suite; each group of them has its reason there."""
    groups = tomllib.loads(EXCEPTIONS.read_text())[suite.name]
    kinds = (field.name for field in fields(Exceptions))
    return Exceptions(**{kind: frozenset(name for group in groups[kind] for name in group["tests"]) for kind in kinds})


def matching(names: Iterable[str], listed: frozenset[str]) -> set[str]:
    """Return the tests that are listed: themselves, without their parameters, or their module."""
    return {n for n in names if not listed.isdisjoint((n, n.partition("[")[0], n.partition("::")[0]))}


def required(suite: Suite, on_uvicorn: Run) -> set[str]:
    """Return what must pass on bicorn: what passes on uvicorn, as far as a server has to do with it."""
    passed = on_uvicorn.named("passed") & on_uvicorn.served
    return passed - matching(passed, exceptions(suite).differ_on_purpose)


def run(suite: Suite, server: str, mode: str | None, folder: Path, only: Iterable[str] | None = None) -> Run:
    """Run a suite, or some tests of it.

    Args:
        mode: bicorn's `sync_endpoints`.
        folder: Where the files of this run go.
        only: The names of the tests to run.
    """
    results, without = folder / "results.json", folder / "without"
    without.write_text("\n".join(exceptions(suite).not_run))
    options = [f"--server={server}", f"--results={results}", f"--without={without}"]
    if mode is not None:
        options.append(f"--sync-endpoints={mode}")
    if only is not None:
        (folder / "only").write_text("\n".join(only))
        options.append(f"--only={folder / 'only'}")
    command = [
        *(str(ENVIRONMENT / "bin" / "pytest"), "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider"),
        *("-p", "frameworks_plugin", f"--timeout={TEST_SECONDS}", *options),
        *(f"--ignore={ignored}" for ignored in suite.ignored),
        "tests",
    ]
    with (folder / "output").open("wb") as output:
        done = subprocess.run(
            command,
            cwd=suite.folder,
            env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{REPOSITORY / 'python'}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECONDS,
            check=False,
        )
    # 1: some tests failed, which the results tell.
    if done.returncode not in (0, 1) or not results.exists():
        text = (folder / "output").read_text(errors="replace")
        raise AssertionError(f"pytest ended with {done.returncode}:\n{text[-5 * ERROR_CHARACTERS :]}")
    return _read(json.loads(results.read_text()))


def _read(results: dict[str, Any]) -> Run:
    summary = (
        "{requests} requests to {servers} servers in {seconds} s, busy for {processor_seconds} s; "
        "{lanes} routes in the lane, {endpoint_jobs} endpoint jobs"
    )
    return Run(
        results["outcomes"],
        results["errors"],
        frozenset(results["served"]),
        results["endpoint_jobs"],
        results["lanes"],
        summary.format(**results),
    )


def run_on_uvicorn(suite: Suite, folder: Path) -> Run:
    """Run a suite on uvicorn, or return how it went the last time that nothing was different."""
    inputs = [EXCEPTIONS, REQUIREMENTS, SUITES / ".identity", *sorted(HERE.glob("frameworks_*.py"))]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    kept = SUITES / f"on-uvicorn-{suite.name}-{digest}.json"
    if not kept.exists():
        run(suite, "uvicorn", None, folder)
        kept.write_bytes((folder / "results.json").read_bytes())
    return _read(json.loads(kept.read_text()))


class Runs:
    """All runs that are asked for, some of them at a time: as many as cores, or as FRAMEWORK_RUNS says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(int(os.environ.get("FRAMEWORK_RUNS", os.cpu_count() or 1)))
        self._runs: dict[tuple[str, str], Future[Run]] = {}

    def begin(self, modes: dict[Suite, list[str]]) -> None:
        """Begin the runs of some modes of some suites, those on uvicorn first."""
        for suite in modes:
            self._runs[suite.name, "uvicorn"] = self._pool.submit(
                run_on_uvicorn, suite, self._make_folder(suite, "uvicorn")
            )
        for suite, names in modes.items():
            for mode in names:
                self._runs[suite.name, mode] = self._pool.submit(self._run_bicorn, suite, mode)

    def end(self) -> None:
        """Begin no more, and wait for those that run."""
        self._pool.shutdown(cancel_futures=True)

    def on_uvicorn(self, suite: Suite) -> Run:
        return self._runs[suite.name, "uvicorn"].result()

    def on_bicorn(self, suite: Suite, mode: str) -> Run:
        return self._runs[suite.name, mode].result()

    def _run_bicorn(self, suite: Suite, mode: str) -> Run:
        # Submitted before, so that it never waits for a place.
        on_uvicorn = self.on_uvicorn(suite)
        passed = on_uvicorn.named("passed") & on_uvicorn.served
        return run(suite, "bicorn", mode, self._make_folder(suite, mode), passed)

    def _make_folder(self, suite: Suite, name: str) -> Path:
        folder = self._folder / f"{suite.name}-{name}"
        folder.mkdir()
        return folder


def describe(errors: dict[str, str], names: Iterable[str]) -> str:
    """Return what went wrong in some tests: the first of them at length, the others by name."""
    ordered = sorted(names)
    shown = (f"{name}\n{errors.get(name, 'did not run')[-ERROR_CHARACTERS:]}" for name in ordered[:SHOWN_ERRORS])
    return "\n\n".join([*shown, *ordered[SHOWN_ERRORS:]])

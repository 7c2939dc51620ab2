"""Runs uvicorn's own tests on bicorn, in a process and an environment of their own; reads how it went."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tomllib

from tests.serving import REPOSITORY

HERE = Path(__file__).resolve().parent
EXCEPTIONS = HERE / "data" / "uvicorn-exceptions.toml"
ENVIRONMENT = REPOSITORY / "target" / "venv-uvicorn"
SUITE = REPOSITORY / "target" / "uvicorn-suite"
RUN_SECONDS = 10 * 60
# Enough on a busy machine for each test that ends at all.
TEST_SECONDS = 60
# More failures than this are no accident.
RUN_AGAIN = 10
# What is shown of a failure; the assertion stands at the end.
ERROR_CHARACTERS = 2000
SHOWN_ERRORS = 20


@dataclass(frozen=True)
class Group:
    """Tests that have one reason not to pass, by name: tests, tests without their parameters, or modules."""

    reason: str
    count: int
    tests: frozenset[str]

    def matching(self, names: Iterable[str]) -> set[str]:
        """Return those of some tests that are in the group."""
        return {n for n in names if not self.tests.isdisjoint((n, n.partition("[")[0], n.partition("::")[0]))}


@dataclass(frozen=True)
class Exceptions:
    """What need not pass."""

    # How many tests there are, with their parameters.
    total: int
    # Run, and fail or are skipped.
    fail: list[Group]
    # Left out, for they would wait for ever.
    not_run: list[Group]


@dataclass(frozen=True)
class Run:
    """How a run went: all outcomes, and the errors of those that failed."""

    outcomes: dict[str, str]
    errors: dict[str, str]

    def named(self, outcome: str) -> set[str]:
        """Return the tests with an outcome: "passed", "failed" or "skipped"."""
        return {name for name, each in self.outcomes.items() if each == outcome}


def exceptions() -> Exceptions:
    """Read the exceptions; each group of them has its reason there."""
    content = tomllib.loads(EXCEPTIONS.read_text())

    def groups(kind: str) -> list[Group]:
        return [Group(each["reason"], each["count"], frozenset(each["tests"])) for each in content[kind]]

    return Exceptions(content["total"], groups("fail"), groups("not_run"))


def run(folder: Path) -> Run:
    """Run the suite; `folder` is where the files of this run go.

    The tests choose ports that others may take before them: what fails beside other tests is run once more, alone.
    """
    (folder / "without").write_text("\n".join(name for group in exceptions().not_run for name in group.tests))
    # Most of the time, the eight processes that the suite has at home wait. The folder left out measures, and calls
    # protocol classes for it.
    first = _run(folder, "-n", "8", "--ignore=tests/benchmarks", "tests")
    listed = set().union(*(group.matching(first.outcomes) for group in exceptions().fail))
    again = sorted(first.named("failed") - listed)
    if not 0 < len(again) <= RUN_AGAIN:
        return first
    second = _run(folder, *again)
    print(f"\nfailed beside others, run again: {second.outcomes}")
    return Run({**first.outcomes, **second.outcomes}, second.errors)


def _run(folder: Path, *what: str) -> Run:
    results = folder / "results.json"
    results.unlink(missing_ok=True)
    command = [
        *(str(ENVIRONMENT / "bin" / "pytest"), "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider"),
        *("-o", "addopts=", "--strict-config", "--strict-markers"),
        *("-p", "uvicorn_plugin", f"--timeout={TEST_SECONDS}", f"--results={results}"),
        *(f"--without={folder / 'without'}", *what),
    ]
    with (folder / "output").open("wb") as output:
        done = subprocess.run(
            command,
            cwd=SUITE,
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
    return Run(**json.loads(results.read_text()))


def describe(errors: dict[str, str], names: Iterable[str]) -> str:
    """Return what went wrong in some tests: the first of them at length, the others by name."""
    ordered = sorted(names)
    shown = (f"{name}\n{errors.get(name, 'did not run')[-ERROR_CHARACTERS:]}" for name in ordered[:SHOWN_ERRORS])
    return "\n\n".join([*shown, *ordered[SHOWN_ERRORS:]])

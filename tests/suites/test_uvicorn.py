"""uvicorn's own tests, through the shim: all pass but those that `data/uvicorn-exceptions.toml` gives a reason for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites import uvicorn_runs as runs
from tests.suites.uvicorn_runs import Group, Run

pytestmark = pytest.mark.timeout(15 * 60)

EXCEPTIONS = runs.exceptions()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not (runs.SUITE / ".identity").exists():
        pytest.fail("scripts/suites uvicorn installs the suite")
    return runs.run(tmp_path_factory.mktemp("uvicorn"))


def listed(run: Run) -> set[str]:
    return set().union(*(group.matching(run.outcomes) for group in EXCEPTIONS.fail))


def test_what_is_not_listed_passes(run: Run) -> None:
    passed = run.named("passed")
    print(f"\n{len(passed)} of uvicorn's {EXCEPTIONS.total} tests pass, {len(listed(run))} need not")
    missing = set(run.outcomes) - passed - listed(run)
    assert not missing, f"{len(missing)} tests that are not listed:\n\n{runs.describe(run.errors, missing)}"


def test_what_is_listed_does_not_pass(run: Run) -> None:
    passed = listed(run) & run.named("passed")
    assert not passed, f"listed, but pass: {sorted(passed)}"


@pytest.mark.parametrize("group", EXCEPTIONS.fail, ids=lambda group: group.reason[:40])
def test_groups_hide_nothing(group: Group, run: Run) -> None:
    matching = group.matching(run.outcomes)
    assert len(matching) == group.count, sorted(matching)
    for name in group.tests:
        assert Group("", 0, frozenset({name})).matching(run.outcomes), f"there is no such test: {name}"


def test_no_test_is_in_two_groups(run: Run) -> None:
    assert len(listed(run)) == sum(group.count for group in EXCEPTIONS.fail)


def test_numbers_add_up(run: Run) -> None:
    passed = len(run.named("passed"))
    not_run = sum(group.count for group in EXCEPTIONS.not_run)
    failing = sum(group.count for group in EXCEPTIONS.fail)
    assert passed + failing + not_run == EXCEPTIONS.total


def test_packages_of_the_suite_do_not_include_uvicorn() -> None:
    lines = Path(runs.HERE / "data" / "uvicorn-requirements.txt").read_text().splitlines()
    assert not [line for line in lines if line.startswith("uvicorn")]

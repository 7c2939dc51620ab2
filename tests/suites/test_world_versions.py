"""The frameworks that run here are those that docs/frameworks.md speaks of, in the versions that pyproject.toml has."""

from __future__ import annotations

import importlib.metadata
import re

import tomllib

from tests.serving import REPOSITORY


def test_documented_versions_are_those_that_run() -> None:
    page = (REPOSITORY / "docs" / "frameworks.md").read_text()
    documented = dict(re.findall(r"^\| (\S+) \| (\d\S*) \|", page, re.MULTILINE))
    assert len(documented) >= 15
    assert documented == {name: importlib.metadata.version(name) for name in documented}


def test_versions_are_those_of_pyproject() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pinned = {}
    for extra in ("test", "bench"):
        for requirement in project["optional-dependencies"][extra]:
            name, version, marker = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==([^;]+)(;.*)?", requirement).groups()
            if "<" not in (marker or ""):
                pinned[name] = version
    installed = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    shared = {name: version for name, version in pinned.items() if name in installed}
    assert len(shared) > 5
    assert shared == {name: installed[name] for name in shared}

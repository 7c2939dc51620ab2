"""The examples of docs/testing.md pass, as files of a project of their own."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.serving import REPOSITORY

PAGE = REPOSITORY / "docs" / "testing.md"
# A block that is a file says in its first line which.
FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Examples for a plugin that need not be there.
NEEDS = {"test_with_asyncio.py": "pytest_asyncio"}


def test_examples_pass(tmp_path: Path) -> None:
    files = dict(FILE.findall(PAGE.read_text()))
    files = {name: text for name, text in files.items() if name not in NEEDS or importlib.util.find_spec(NEEDS[name])}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    # pytest-asyncio would have an option be set.
    warnings = ["-W", "error", "-W", "ignore::pytest.PytestDeprecationWarning"]
    command = [sys.executable, "-m", "pytest", "-q", *warnings, "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=25)
    assert done.returncode == 0, done.stdout + done.stderr
    # Each file of tests was found.
    assert set(files) >= {"main.py", "conftest.py", "test_items.py", "test_fixture.py", "test_with_anyio.py"}
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout

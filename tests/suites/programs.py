"""Runs the programs of the suites, with a bound on their time and their output in the message when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.serving import REPOSITORY

TOOLS = REPOSITORY / ".tools"


def require(program: str) -> str:
    """Find a program in .tools/bin or on PATH; without it the test is skipped, but on CI it fails."""
    found = shutil.which(program, path=f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        message = f"{program} is not installed: scripts/suites installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def run(
    command: Sequence[str | Path], *, timeout: float = 30.0, codes: Sequence[int] = (0,), cwd: Path | None = None
) -> str:
    """Run a program to its end and return its stdout.

    Args:
        timeout: Seconds until it is ended and the test fails.
        codes: Exit codes that are as they should be.
        cwd: Where it runs.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, cwd=cwd, check=False
        )
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"") + (expired.stderr or b"")
        raise AssertionError(
            f"{words} did not end in {timeout} s:\n{output.decode(errors='replace')[-4000:]}"
        ) from None
    stdout, stderr = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    assert done.returncode in codes, f"{words} ended with {done.returncode}:\n{stdout[-4000:]}\n{stderr[-4000:]}"
    return stdout

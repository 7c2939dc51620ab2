"""Checks the borders inside the tree that no linter knows: who may write `unsafe`, attach to Python, or name a crate.

Usage: python scripts/check_borders.py   (exit 1 and one line for each breach; part of `make lint`)
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
# Path of a file that is longer, and why it is not split.
LONG_FILES: dict[str, str] = {
    "crates/bicorn-config/src/settings.rs": "one list of all options, most of it their help texts",
}


@dataclass(frozen=True)
class Border:
    """A pattern that may stand in some files only."""

    pattern: str
    reason: str
    below: str = "crates/"
    """Where the rule holds: a prefix of the path."""
    allowed: tuple[str, ...] = ()
    """Prefixes of the paths that are free of it."""


BORDERS = (
    Border(r"\bunsafe\b", "`unsafe` stands in ffi.rs only", allowed=("crates/bicorn-python/src/ffi.rs",)),
    Border(r"\bmacro_rules!", "no macros of our own: variants are enum arms"),
    Border(r"#!?\[allow\(", 'exceptions are #[expect(lint, reason = "…")]'),
    Border(r"\bpyo3\b", "only bicorn-python knows Python", allowed=("crates/bicorn-python/",)),
    Border(r"\btokio\b", "only bicorn-server has a runtime", allowed=("crates/bicorn-server/",)),
    Border(r"\b(tokio|std)::net::(Tcp|Udp)\w+|\bstd::os::unix::net\b", "only bicorn-server has sockets",
           allowed=("crates/bicorn-server/",)),
    Border(r"\bclap\b", "options are declared once", allowed=("crates/bicorn-config/",)),
    Border(r"\bPython::(try_)?attach\b|\bwith_gil\b", "only threads that are Python's may attach",
           allowed=("crates/bicorn-python/src/loop_thread.rs", "crates/bicorn-python/src/endpoints/thread.rs")),
)  # fmt: skip


def main() -> int:
    """Print each breach; 1 if there are any."""
    files = [path for path in _tracked_or_new() if path.suffix in {".rs", ".py", ".pyi"} and path.exists()]
    breaches = [breach for path in files for breach in _breaches(path)]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


def _breaches(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    lines = path.read_text().splitlines()
    if len(lines) > MAX_LINES and name not in LONG_FILES:
        yield f"{name}: {len(lines)} lines, more than {MAX_LINES}: split it, or argue in LONG_FILES"
    borders = [border for border in BORDERS if name.startswith(border.below) and not name.startswith(border.allowed)]
    if path.suffix != ".rs":
        return
    for number, line in enumerate(lines, 1):
        code = line.partition("//")[0]
        for border in borders:
            if re.search(border.pattern, code):
                yield f"{name}:{number}: {border.reason}: {line.strip()}"


def _tracked_or_new() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name]


if __name__ == "__main__":
    sys.exit(main())

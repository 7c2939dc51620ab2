"""Checks that docs/settings.md is what the declaration of the options says.

Usage: python scripts/check_settings_docs.py          (exit 1 and the differences if it is not; part of `make lint`)
       python scripts/check_settings_docs.py --write  (writes the page)
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"
PRINT_PAGE = ("cargo", "run", "--quiet", "-p", "bicorn-config", "--example", "settings_markdown")


def main() -> int:
    """Compare or write the page; 1 if it differs."""
    parser = argparse.ArgumentParser(description="Check that docs/settings.md is what the options say.")
    parser.add_argument("--write", action="store_true", help="write the page instead")
    wants_write: bool = parser.parse_args().write
    wanted = subprocess.run(PRINT_PAGE, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    if wants_write:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if found == wanted:
        return 0
    differences = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "docs/settings.md", "crates/bicorn-config/src/settings.rs", lineterm=""
    )
    print(*differences, sep="\n")
    print("docs/settings.md is not what the options say: python scripts/check_settings_docs.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bicorn.shim`: run a program that finds bicorn where it imports uvicorn."""

from __future__ import annotations

import os
import runpy
import shutil
import sys

from bicorn import shim

USAGE = """\
Usage: python -m bicorn.shim -m MODULE [ARGUMENT...]
       python -m bicorn.shim SCRIPT [ARGUMENT...]

Runs a Python program in which `import uvicorn` gives bicorn. SCRIPT is a file, or a command that a package installs,
such as fastapi.
"""


def main() -> None:
    """Run what the command line names, as the interpreter would.

    Raises:
        SystemExit: That of the program; code 2 if there is none.
    """
    arguments = sys.argv[1:]
    if arguments[:1] in (["--help"], ["-h"]):
        print(USAGE, end="")
        return
    is_module = arguments[:1] == ["-m"]
    if is_module:
        del arguments[0]
    if not arguments or (arguments[0].startswith("-") and not is_module):
        print(USAGE, end="", file=sys.stderr)
        sys.exit(2)
    shim.install()
    sys.argv[:] = arguments
    if is_module:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    script = arguments[0] if os.path.exists(arguments[0]) else shutil.which(arguments[0])
    if script is None:
        print(f"there is no script {arguments[0]}", file=sys.stderr)
        sys.exit(2)
    sys.argv[0] = script
    # The first entry is the current folder, for a module; a script has its own.
    if not _is_path_safe():
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    runpy.run_path(script, run_name="__main__")


def _is_path_safe() -> bool:
    """Tell whether the interpreter was asked not to add such an entry (Python 3.11)."""
    return bool(sys.flags.isolated or getattr(sys.flags, "safe_path", False))


if __name__ == "__main__":
    main()

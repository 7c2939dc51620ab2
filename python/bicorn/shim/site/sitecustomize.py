"""Installs the shim in the children of a process that has it; `bicorn.shim.install` puts this folder on their path.

The interpreter imports the first `sitecustomize` that it finds. This one gives way to the next, which it has hidden.
"""

import os
import sys


def _install() -> None:
    try:
        from bicorn import shim
    except ImportError:
        # Another interpreter or environment, which has no bicorn.
        return
    shim.install()


def _give_way() -> None:
    """Import the `sitecustomize` that there would be without this one."""
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.realpath(path) != here]
    this = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # another one, or none
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = this


if os.environ.get("BICORN_SHIM") == "1":
    _install()
_give_way()

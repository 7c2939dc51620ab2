"""`import uvicorn` gives bicorn: for programs that call uvicorn and cannot be edited.

    python -m bicorn.shim -m fastapi run main.py     run a module, as `python -m` does
    python -m bicorn.shim program.py --port 80       run a script
    bicorn.shim.install()                            in a program, before it imports uvicorn

It holds in this process and in the Python processes that it starts, whether uvicorn is installed or not. The modules
are those of `modules.py`; `docs/shim.md` says what a program sees.
"""

from __future__ import annotations

import os
import sys

from bicorn.shim.finder import UvicornFinder

__all__ = ["ShimError", "install", "is_installed", "uninstall"]

# Where children find a `sitecustomize` that installs the shim, and the switch that it looks at.
SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
SWITCH = "BICORN_SHIM"

_finder = UvicornFinder()


class ShimError(RuntimeError):
    """The shim comes too late."""


def is_installed() -> bool:
    """Tell whether `import uvicorn` gives bicorn in this process."""
    return _finder in sys.meta_path


def install(*, children: bool = True) -> None:
    """Let `import uvicorn` give bicorn from here on; a second time, nothing happens.

    Args:
        children: Whether the Python processes that this one starts have the shim, too. It is in the environment that
            they inherit: BICORN_SHIM and an entry of PYTHONPATH, so not for children with `-E`, `-I` or `-S`.

    Raises:
        ShimError: uvicorn is imported already; what has been imported from it would stay as it is.
    """
    if not is_installed():
        if "uvicorn" in sys.modules:
            place = getattr(sys.modules["uvicorn"], "__file__", None)
            raise ShimError(f"uvicorn is imported already; call bicorn.shim.install() before its first import: {place}")
        # First, for finders of editable installations may stand in front of the others.
        sys.meta_path.insert(0, _finder)
    if children:
        _set_environment()


def uninstall() -> None:
    """Let the next `import uvicorn` give what is installed, in this process and in new ones.

    What was imported through the shim stays with those who have it.
    """
    if is_installed():
        sys.meta_path.remove(_finder)
        for name in [name for name in sys.modules if name == "uvicorn" or name.startswith("uvicorn.")]:
            del sys.modules[name]
    os.environ.pop(SWITCH, None)
    _set_python_path([path for path in _python_path() if path != SITE])


def _set_environment() -> None:
    os.environ[SWITCH] = "1"
    if SITE not in _python_path():
        _set_python_path([SITE, *_python_path()])


def _python_path() -> list[str]:
    text = os.environ.get("PYTHONPATH", "")
    return text.split(os.pathsep) if text else []


def _set_python_path(paths: list[str]) -> None:
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        os.environ.pop("PYTHONPATH", None)

"""The package `uvicorn`, as a program sees it that runs under the shim; imported by that name alone."""

from __future__ import annotations

from importlib import import_module

from bicorn.constants import UVICORN_VERSION as __version__  # noqa: F401

# Before the names: the command line has the one that the module would have.
import_module("uvicorn.main")
from bicorn.main import main, run  # noqa: E402

__all__ = ["Config", "Server", "main", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bicorn.config import Config
    from bicorn.server import Server

# What the import of uvicorn leaves behind; here it comes when it is asked for.
_MODULES = ("config", "importer", "lifespan", "logging", "loops", "middleware", "protocols", "server", "supervisors")


def __getattr__(name: str) -> object:
    """Import the rest when it is asked for."""
    if name in _MODULES:
        return import_module(f"uvicorn.{name}")
    if name in __all__:
        import bicorn

        return getattr(bicorn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

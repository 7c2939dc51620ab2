"""bicorn: an ASGI server, drop-in for uvicorn."""

from bicorn.main import main, run

__all__ = ["Config", "Server", "main", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bicorn.config import Config
    from bicorn.server import Server

    __version__: str

# What costs more than the rest of `import bicorn`, and where it is.
_LAZY = {"Config": "bicorn.config", "Server": "bicorn.server", "__version__": "bicorn._bicorn"}

# `import uvicorn` leaves these behind, and programs rely on it.
_MODULES = ("config", "importer", "lifespan", "logging", "loops", "middleware", "protocols", "server", "supervisors")


def __getattr__(name: str) -> object:
    """Import the rest when it is asked for."""
    from importlib import import_module

    value: object
    if name in _MODULES:
        value = import_module(f"bicorn.{name}")
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value

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


def __getattr__(name: str) -> object:
    """Import the rest when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value

"""Supervisors: the parent processes of `--workers` (`Multiprocess`) and `--reload` (`ChangeReload`).

A supervisor owns the listening socket and starts children that serve it; it never serves by itself, and without
`--preload` it never imports the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bicorn.supervisors.multiprocess import Multiprocess

if TYPE_CHECKING:
    from bicorn.supervisors.basereload import BaseReload

    ChangeReload: type[BaseReload]

__all__ = ["ChangeReload", "Multiprocess"]


def __getattr__(name: str) -> object:
    """Find `ChangeReload` when it is asked for: watchfiles costs more than the rest of a supervisor."""
    if name != "ChangeReload":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from bicorn.supervisors.watchfilesreload import WatchFilesReload
    except ImportError:
        from bicorn.supervisors.statreload import StatReload

        return StatReload
    return WatchFilesReload

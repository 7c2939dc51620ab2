"""`StatReload`: finds changes by looking at the times of Python files again and again, without watchfiles."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from bicorn.supervisors.basereload import BaseReload

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bicorn.config import Config

logger = logging.getLogger("uvicorn.error")


class StatReload(BaseReload):
    """Looks every `reload_delay` seconds; a file that is new says nothing, one that imports it must have changed."""

    def __init__(
        self, config: Config, target: Callable[[list[socket.socket] | None], None], sockets: list[socket.socket]
    ) -> None:
        """Say what has no effect."""
        super().__init__(config, target, sockets)
        self.reloader_name = "StatReload"
        # When files were last changed; empty before the first look.
        self.mtimes: dict[Path, float] = {}
        if config.reload_excludes or config.reload_includes:
            logger.warning("--reload-include and --reload-exclude have no effect unless watchfiles is installed.")

    def startup(self) -> None:
        """Look at the files as the first child finds them."""
        self._look()
        super().startup()

    def should_restart(self) -> list[Path] | None:
        """Sleep, then return which files have changed since the last look, restarts included."""
        self.pause()
        return self._look() or None

    def _look(self) -> list[Path]:
        changed = []
        for path in self.iter_py_files():
            # It is gone again.
            with contextlib.suppress(OSError):
                mtime = path.stat().st_mtime
                if self.mtimes.setdefault(path, mtime) != mtime:
                    self.mtimes[path] = mtime
                    changed.append(path)
        return changed

    def iter_py_files(self) -> Iterator[Path]:
        """Return every Python file below the watched directories."""
        for directory in self.config.reload_dirs:
            for path in list(directory.rglob("*.py")):
                yield path.resolve()

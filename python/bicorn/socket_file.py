"""The file of a Unix socket that this process has bound."""

from __future__ import annotations

import logging
import os
from contextlib import suppress

logger = logging.getLogger("uvicorn.error")


class SocketFile:
    """Watches over the file, and removes it at the end; another server may put its own in that place meanwhile."""

    def __init__(self, path: str) -> None:
        """Remember the file that is there now.

        Raises:
            OSError: There is none.
        """
        self.path = path
        self._inode = os.stat(path).st_ino
        self._has_warned = False

    def check(self) -> None:
        """Warn, once, when the file is gone: nobody can connect any more, and no error tells."""
        if self._has_warned or self._is_there():
            return
        self._has_warned = True
        logger.warning(
            "unix socket %s was removed or replaced: open connections are served, but nobody can connect; "
            "restart to make it anew",
            self.path,
        )

    def remove(self) -> None:
        """Remove the file, if it is still the same."""
        if self._is_there():
            with suppress(OSError):
                os.remove(self.path)

    def _is_there(self) -> bool:
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

"""`WatchFilesReload`: hears of changes from the kernel, by the package watchfiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import watch

from bicorn.supervisors.basereload import BaseReload

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from bicorn.config import Config

DEFAULT_INCLUDES = ("*.py",)
DEFAULT_EXCLUDES = (".*", ".py[cod]", ".sw.*", "~*")


class FileFilter:
    """Tells which of the files in the watched directories count, by uvicorn's rules."""

    def __init__(self, config: Config) -> None:
        """Take the patterns: what is included by option is not excluded by default, and the other way round."""
        includes = {pattern for pattern in DEFAULT_INCLUDES if pattern not in config.reload_excludes}
        self.includes = list(includes.union(config.reload_includes))
        excludes = {pattern for pattern in DEFAULT_EXCLUDES if pattern not in config.reload_includes}
        self.exclude_dirs = [Path(pattern) for pattern in config.reload_excludes if _is_dir(pattern)]
        self.excludes = list(excludes.union(pattern for pattern in config.reload_excludes if not _is_dir(pattern)))

    def __call__(self, path: Path) -> bool:
        """Tell whether a change of this file means a restart."""
        matching = [pattern for pattern in self.includes if path.match(pattern)]
        if any(str(path).endswith(pattern) for pattern in matching):
            # It is included by its name.
            return True
        if not matching or any(directory in path.parents for directory in self.exclude_dirs):
            return False
        return not any(path.match(pattern) for pattern in self.excludes)


def _is_dir(pattern: str) -> bool:
    try:
        return Path(pattern).is_dir()
    except OSError:
        # Windows, for a pattern with `*`.
        return False


class WatchFilesReload(BaseReload):
    """Waits for changes, and lets through what the filter lets through."""

    def __init__(
        self, config: Config, target: Callable[[list[socket.socket] | None], None], sockets: list[socket.socket]
    ) -> None:
        """Prepare to watch; it begins with the first `should_restart`, while the first child imports its modules."""
        super().__init__(config, target, sockets)
        self.reloader_name = "WatchFiles"
        self.reload_dirs: list[Path] = list(config.reload_dirs)
        self.watch_filter = FileFilter(config)
        self._is_watching = False
        self.watcher = watch(
            *self.reload_dirs,
            watch_filter=None,
            stop_event=self.should_exit,
            # So that `should_restart` returns now and then, as its callers expect.
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )

    def should_restart(self) -> list[Path] | None:
        """Wait for changes, up to five seconds, and return the files that count."""
        # A change before the first look would be missed; those between two looks are not.
        if self._is_watching:
            self.pause()
        self._is_watching = True
        changes = next(self.watcher)
        if not changes:
            return None
        return [path for path in {Path(name) for _, name in changes} if self.watch_filter(path)]

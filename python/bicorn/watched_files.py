"""`--reload-dir`, `--reload-include`, `--reload-exclude`: which directories and files a reloader watches.

A pattern that names a directory stands for what is in it. Nothing here watches; see `bicorn.supervisors`. The rules are
uvicorn's (uvicorn 0.54 `Config.__init__`).
"""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger("uvicorn.error")


class WatchedFiles:
    """What `Config` calls `reload_dirs`, `reload_dirs_excludes`, `reload_includes` and `reload_excludes`."""

    def __init__(
        self,
        should_reload: bool,
        dirs: list[str] | str | None,
        includes: list[str] | str | None,
        excludes: list[str] | str | None,
    ) -> None:
        """Find the directories, and log what will be watched; without a reloader, nothing is."""
        self.dirs: list[Path] = []
        self.dirs_excludes: list[Path] = []
        self.includes: list[str] = []
        self.excludes: list[str] = []
        if not should_reload:
            if dirs or includes or excludes:
                logger.warning(
                    "Current configuration will not reload as not all conditions are met, "
                    "please refer to documentation."
                )
            return
        given = _as_list(dirs)
        self.includes, found = resolve_reload_patterns(_as_list(includes), given)
        self.excludes, self.dirs_excludes = resolve_reload_patterns(_as_list(excludes), [])
        self.dirs = [directory for directory in found if not self._is_excluded(directory)]
        self.includes = [pattern for pattern in self.includes if pattern not in self.excludes]
        if not self.dirs:
            if given:
                logger.warning(
                    "Provided reload directories %s did not contain valid directories, "
                    "watching current working directory.",
                    given,
                )
            self.dirs = [Path.cwd()]
        logger.info("Will watch for changes in these directories: %s", sorted(map(str, self.dirs)))

    def _is_excluded(self, directory: Path) -> bool:
        return any(excluded == directory or excluded in directory.parents for excluded in self.dirs_excludes)


def resolve_reload_patterns(patterns: list[str], directories: list[str]) -> tuple[list[str], list[Path]]:
    """Return the patterns, each once, and the topmost directories that they and `directories` name."""
    candidates = {Path(directory) for directory in directories}
    for pattern in patterns:
        # As a pattern it would match every hidden directory, which nobody means.
        if pattern == ".*":
            continue
        if _is_dir(Path(pattern)):
            candidates.add(Path(pattern))
        else:
            candidates.update(match for match in Path.cwd().glob(pattern) if _is_dir(match))
    found = {candidate.resolve() for candidate in candidates if _is_dir(candidate)}
    topmost = [directory for directory in found if found.isdisjoint(directory.parents)]
    return list(set(patterns)), topmost


def _as_list(given: list[str] | str | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(set(given))


def _is_dir(path: Path) -> bool:
    try:
        return path.resolve().is_dir()
    except OSError:
        return False

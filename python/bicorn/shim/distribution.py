"""What `importlib.metadata` tells about uvicorn under the shim: the version whose names and behaviour are kept."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

from bicorn.constants import UVICORN_VERSION


class UvicornDistribution(Distribution):
    """A distribution without files; also where uvicorn is installed, in whatever version."""

    def read_text(self, filename: str) -> str | None:
        """Return the one file that there is."""
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: uvicorn\nVersion: {UVICORN_VERSION}\nSummary: bicorn, by bicorn.shim\n"

    def locate_file(self, path: object) -> Path:
        """Return a path that nothing is at."""
        return Path(__file__).with_name("uvicorn") / str(path)

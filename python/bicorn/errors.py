"""Errors that programs and applications may catch."""

from __future__ import annotations

from bicorn._bicorn import ClientDisconnected

__all__ = ["ClientDisconnected", "ConfigError"]


class ConfigError(ValueError):
    """An option that cannot be used; the text names the option, its value and the reason, in one line.

    `bicorn.run` prints it and exits; `Config` raises it.
    """

"""Errors that users of `Config` may catch."""

from __future__ import annotations


class ConfigError(ValueError):
    """An option that cannot be used; the text names the option, its value and the reason, in one line.

    `bicorn.run` prints it and exits; `Config` raises it.
    """

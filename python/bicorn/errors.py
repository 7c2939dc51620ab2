"""Errors that programs and applications may catch."""

from __future__ import annotations


class ConfigError(ValueError):
    """An option that cannot be used; the text names the option, its value and the reason, in one line.

    `bicorn.run` prints it and exits; `Config` raises it.
    """


class ClientDisconnected(OSError):
    """Raised by `send` of a WebSocket whose peer has left (ASGI WebSocket 2.4); an app may let it pass."""

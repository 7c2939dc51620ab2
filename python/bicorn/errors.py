"""Errors that users of `Config`, and apps under `--asgi-spec 2.5`, may catch."""

from __future__ import annotations

from bicorn._bicorn import ClientDisconnected

__all__ = ["ClientDisconnected", "ConfigError"]


class ConfigError(ValueError):
    """An option that cannot be used; the text names the option, its value and the reason, in one line.

    `bicorn.run` prints it and exits; `Config` raises it.
    """


class ClientDisconnected(OSError):
    """Raised by `send` of a WebSocket whose peer has left (ASGI WebSocket 2.4); an app may let it pass."""

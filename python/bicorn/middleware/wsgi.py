"""WSGI apps, where uvicorn has the names: a2wsgi's middleware if it is installed, else our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicorn import wsgi
from bicorn.wsgi import WSGIMiddleware as _WSGIMiddleware

if TYPE_CHECKING:
    import io

    from bicorn._types import Event, Scope

    WSGIMiddleware: Any
else:
    try:
        from a2wsgi import WSGIMiddleware
    except ImportError:
        WSGIMiddleware = _WSGIMiddleware

__all__ = ["WSGIMiddleware", "_WSGIMiddleware", "build_environ"]


def build_environ(scope: Scope, message: Event, body: io.BytesIO) -> dict[str, Any]:
    """Translate a scope; `message` is what uvicorn takes there and reads nothing from."""
    return wsgi.build_environ(scope, body)

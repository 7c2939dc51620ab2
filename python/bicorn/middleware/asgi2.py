"""ASGI 2 apps, where uvicorn has the name."""

from bicorn.asgi import ASGI2Middleware

__all__ = ["ASGI2Middleware"]

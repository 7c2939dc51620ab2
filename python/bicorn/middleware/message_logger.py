"""The log of ASGI events, where uvicorn has the name."""

from bicorn.asgi import MessageLoggerMiddleware

__all__ = ["MessageLoggerMiddleware"]

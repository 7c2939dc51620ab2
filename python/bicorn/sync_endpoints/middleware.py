"""Middleware that an endpoint thread may run: it awaits nothing but the application inside, `receive` and `send`.

None of it changes the path, the method or the root path, so the route that the table names is the one that is reached.
"""

from __future__ import annotations

import inspect
from typing import Any

from bicorn.sync_endpoints.frameworks import is_exactly, is_one_of, name_of, plain_function, shadows

# `GZipMiddleware` compresses long content in a thread of its own limiter; `hooks.py` gives it the endpoint thread.
KNOWN = (
    "starlette.middleware.errors:ServerErrorMiddleware",
    "starlette.middleware.exceptions:ExceptionMiddleware",
    "starlette.middleware.body_limit:RequestBodyLimitMiddleware",
    "starlette.middleware.cors:CORSMiddleware",
    "starlette.middleware.gzip:GZipMiddleware",
    "starlette.middleware.httpsredirect:HTTPSRedirectMiddleware",
    "starlette.middleware.sessions:SessionMiddleware",
    "starlette.middleware.trustedhost:TrustedHostMiddleware",
    "fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware",
    "fastapi.telemetry._asgi:ExceptionTelemetryMiddleware",
    "fastapi._body_limit:AppBodyLimitMiddleware",
    "fastapi._body_limit:_BodyLimitExceptionMiddleware",
)


def unwrap(app: Any) -> Any:
    """Return what known middleware is put around: an application, a router, an endpoint or something unknown."""
    while is_exactly(app, *KNOWN):
        app = app.app
    return app


def build_stack(app: Any) -> str | None:
    """Build an application's middleware as its first request would; return the obstacle that is in it, or None.

    Where no lifespan ran, the middleware does not exist yet, and two endpoint threads must not build it at once. Only
    known middleware is built here, so that no code of the application runs early.
    """
    if app.middleware_stack is None:
        for middleware in app.user_middleware:
            cls = getattr(middleware, "cls", None)
            known = is_exactly(middleware, "starlette.middleware:Middleware") and is_one_of(cls, KNOWN)
            if not known or shadows(app, "build_middleware_stack"):
                return obstacle_of(cls, getattr(middleware, "kwargs", {}).get("dispatch"))
        app.middleware_stack = app.build_middleware_stack()
    innermost = unwrap(app.middleware_stack)
    if innermost is app.router:
        return None
    return obstacle_of(innermost, getattr(innermost, "dispatch_func", None))


def find_obstacle(app: Any, innermost: Any) -> str | None:
    """Return the obstacle between the outside of a router or mount and what it is built around, or None."""
    found = unwrap(app)
    if found is innermost or (inspect.ismethod(found) and found == innermost):
        return None
    return obstacle_of(found, getattr(found, "dispatch_func", None))


def obstacle_of(middleware: Any, dispatch: Any = None) -> str:
    """Say that a middleware is not known; one that calls a function of the application's has that function's name."""
    is_own = dispatch is None or getattr(plain_function(dispatch), "__name__", "") == "dispatch"
    return f"middleware {name_of(middleware if is_own else dispatch)} may need the event loop"

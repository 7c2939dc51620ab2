"""What runs for a request once its route is found: the framework's handler, dependencies, the endpoint, the response.

The frameworks keep a handler as closures. They are read, not trusted by name: each must have the code that the
framework's own function gives its closures, and what it holds decides, for that is what will be called.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from bicorn.sync_endpoints import middleware, responses
from bicorn.sync_endpoints.frameworks import (
    find_inner_code,
    find_method,
    is_exactly,
    loaded,
    name_of,
    plain_function,
    read_closure,
    strip_partials,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Their `__call__` is `async`, reads the request, and awaits nothing.
SECURITY_SCHEMES = (
    *("fastapi.security.api_key:APIKeyQuery", "fastapi.security.api_key:APIKeyHeader"),
    *("fastapi.security.api_key:APIKeyCookie", "fastapi.security.http:HTTPBase", "fastapi.security.http:HTTPBasic"),
    *("fastapi.security.http:HTTPBearer", "fastapi.security.http:HTTPDigest", "fastapi.security.oauth2:OAuth2"),
    *("fastapi.security.oauth2:OAuth2PasswordBearer", "fastapi.security.oauth2:OAuth2AuthorizationCodeBearer"),
    "fastapi.security.open_id_connect_url:OpenIdConnect",
)

HTTP_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")
ENDPOINT_METHODS = ("__init__", "__await__", "dispatch", "method_not_allowed")

# What is most telling comes first: that there is nothing to gain says more than what stands around it.
NOTHING_TO_GAIN = ("endpoint is async", "endpoint is a generator", "endpoint is an asgi application")


def find_obstacle(app: Any, endpoint: Any) -> str | None:
    """Return the first obstacle in what a route calls, or None: an endpoint thread may run all of it.

    Args:
        app: The route's ASGI application, with the middleware of the route around it.
        endpoint: What the route says its endpoint is; only to find classes that are ASGI applications themselves.
    """
    inside = middleware.unwrap(app)
    code = find_inner_code(loaded("fastapi.routing:request_response"), "app")
    if (closure := read_closure(inside, code)) is not None:
        return _find_obstacle_in_handler(closure)
    code = find_inner_code(loaded("starlette.routing:request_response"), "app")
    if (closure := read_closure(inside, code)) is not None:
        return _find_obstacle_in_function(closure.get("f"))
    if inside is endpoint or inspect.isclass(inside):
        return _find_obstacle_in_class(inside)
    return middleware.obstacle_of(inside, getattr(inside, "dispatch_func", None))


def handled_methods(app: Any) -> frozenset[str] | None:
    """Return the methods that a class of handlers has one for, or None if a route calls no such class.

    Starlette before 1.2 takes any method's name for that of an attribute, which may be anything.
    """
    endpoint = middleware.unwrap(app)
    if not inspect.isclass(endpoint):
        return None
    names = {name for name in HTTP_METHODS if getattr(endpoint, name, None) is not None}
    return frozenset(name.upper() for name in names | ({"head"} if "get" in names else set()))


def find_provider(app: Any) -> Any:
    """Return the application whose `dependency_overrides` a FastAPI route asks, or None."""
    inside = middleware.unwrap(app)
    closure = read_closure(inside, find_inner_code(loaded("fastapi.routing:request_response"), "app")) or {}
    code = find_inner_code(loaded("fastapi.routing:get_request_handler"), "app")
    return (read_closure(closure.get("f"), code) or {}).get("dependency_overrides_provider")


def _find_obstacle_in_function(function: Any) -> str | None:
    """Look at what Starlette's `request_response` calls: the endpoint in a thread, or an `async` endpoint itself."""
    run_in_threadpool = loaded("starlette.concurrency:run_in_threadpool")
    if type(function) is not functools.partial or function.func is not run_in_threadpool:
        return "endpoint is async"
    return _find_generator(function.args[0])


def _find_generator(endpoint: Any) -> str | None:
    function = plain_function(strip_partials(endpoint))
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return "endpoint is a generator" if is_generator else None


def _find_obstacle_in_class(endpoint: Any) -> str | None:
    """Look at a class of handlers: the ASGI application is Starlette's, the handlers must all be `def`."""
    known = loaded("starlette.endpoints:HTTPEndpoint")
    if known is None or not inspect.isclass(endpoint) or not issubclass(endpoint, known):
        return "endpoint is an asgi application"
    if type(endpoint) is not type or "__new__" in {name for cls in _between(endpoint, known) for name in vars(cls)}:
        return "endpoint is an asgi application"
    if any(find_method(endpoint, name) is not find_method(known, name) for name in ENDPOINT_METHODS):
        return f"endpoint has more than handlers of its own: {name_of(endpoint)}"
    for name in HTTP_METHODS:
        handler = getattr(endpoint, name, None)
        if handler is not None and loaded("starlette._utils:is_async_callable")(handler):
            return "endpoint is async"
    return None


def _between(cls: type, base: type) -> Iterator[type]:
    """Go through what a class adds to one of its bases."""
    for ancestor in cls.__mro__:
        if ancestor not in (base, *base.__mro__):
            yield ancestor


def _find_obstacle_in_handler(closure: dict[str, Any]) -> str | None:
    """Look at what FastAPI's `request_response` calls: the closure that `get_request_handler` made."""
    code = find_inner_code(loaded("fastapi.routing:get_request_handler"), "app")
    handler = read_closure(closure.get("f"), code)
    if handler is None:
        return f"handler {name_of(closure.get('f'))} is not fastapi's own"
    if not {"dependant", "is_coroutine", "actual_response_class", "dependency_overrides_provider"} <= handler.keys():
        return "handler is not as it was in the versions that were checked"
    dependant = handler["dependant"]
    if handler["is_coroutine"]:
        return "endpoint is async"
    if _is_generator(dependant):
        return "endpoint is a generator"
    return _find_obstacle_in_dependencies(dependant) or responses.find_obstacle(handler["actual_response_class"])


def _find_obstacle_in_dependencies(dependant: Any) -> str | None:
    for dependency in dependant.dependencies:
        call = dependency.call
        name = name_of(call)
        if getattr(dependency, "concurrency", None) is not None:
            return f"dependency {name} limits its concurrency"
        if _is(dependency, "async_gen_callable"):
            return f"dependency {name} is async"
        if _is_generator(dependency):
            # Its end is run under a limiter that is made where no event loop may run.
            if loaded("anyio._core._synchronization:CapacityLimiterAdapter") is None:
                return f"dependency {name} needs a newer anyio"
        elif _is(dependency, "coroutine_callable") and not _is_security_scheme(call):
            return f"dependency {name} is async"
        if (obstacle := _find_obstacle_in_dependencies(dependency)) is not None:
            return obstacle
    return None


def _is_generator(dependant: Any) -> bool:
    return _is(dependant, "gen_callable") or _is(dependant, "async_gen_callable")


def _is(dependant: Any, kind: str) -> bool:
    """Ask FastAPI how it would call a dependency; before 0.140 the dependency itself tells."""
    function = loaded(f"fastapi.dependencies.models:_is_{kind}")
    return bool(getattr(dependant, f"is_{kind}") if function is None else function(dependant.call))


def _is_security_scheme(call: Any) -> bool:
    """Tell whether a dependency's coroutine is a security scheme's own, also where a subclass changed other methods."""
    if is_exactly(call, *SECURITY_SCHEMES):
        return True
    own = find_method(type(call), "__call__")
    schemes = (loaded(path) for path in SECURITY_SCHEMES)
    return own is not None and any(own is vars(scheme).get("__call__") for scheme in schemes if scheme is not None)

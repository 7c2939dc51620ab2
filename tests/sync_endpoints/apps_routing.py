"""FastAPI and Starlette: which route a request finds, and what is answered when it finds none."""

import functools
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from tests.sync_endpoints.families import Case, Family, as_async, both, both_routes

FOUND = ("path", "root_path", "app_root_path", "raw_path", "method")


def found(request: Request) -> Response:
    """Tell what the router made of the request."""
    scope = request.scope
    seen: dict[str, Any] = {key: str(scope[key]) for key in FOUND if key in scope}
    seen |= {"params": {key: repr(value) for key, value in request.path_params.items()}, "url": str(request.url)}
    seen |= {"base": str(request.base_url), "app": type(scope["app"]).__name__}
    return JSONResponse(seen)


def named(name: str) -> Any:
    """Make an endpoint that answers with its name."""

    def endpoint(request: Request) -> Response:
        return PlainTextResponse(f"{name} {request.method} {sorted(request.path_params.items())}")

    endpoint.__name__ = name
    return endpoint


class Endpoint(HTTPEndpoint):
    """A class with methods in both forms."""

    def get(self, request: Request) -> Response:
        return PlainTextResponse("sync get")

    async def post(self, request: Request) -> Response:
        return PlainTextResponse("async post")

    def delete(self, request: Request) -> Response:
        return found(request)


class CallableEndpoint:
    """An object that is an endpoint: an ASGI app to Starlette."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("an app as endpoint")(scope, receive, send)


class HexConvertor(Convertor[int]):
    """A convertor of one's own."""

    regex = "[0-9a-f]+"

    def convert(self, value: str) -> int:
        return int(value, 16)

    def to_string(self, value: int) -> str:
        return f"{value:x}"


register_url_convertor("hex", HexConvertor())


def with_prefix(prefix: str, request: Request) -> Response:
    return PlainTextResponse(f"{prefix} {request.url.path}")


def make_starlette() -> Starlette:
    """Overlapping routes, mounts below mounts, methods, converters, a host."""
    inner = Starlette(routes=[*both_routes("/found", found), *both_routes("/found/{deep:path}", found)])
    router = Router(routes=[*both_routes("/", found), *both_routes("/slash/", found)])
    return Starlette(
        routes=[
            *both_routes("/found", found),
            *both_routes("/slash/", found),
            *both_routes("/methods", named("get_and_post"), ["GET", "POST"]),
            *both_routes("/methods", named("put"), ["PUT"]),
            *both_routes("/overlap/{name}", named("first"), ["POST"]),
            *both_routes("/overlap/me", named("second")),
            *both_routes("/overlap/{number:int}", named("third")),
            *both_routes("/hex/{value:hex}", found),
            *both_routes("/dots/{name}.{kind}", found),
            *both_routes("/two/{a}-{b}", found),
            *both_routes("/literal/a+b(c)", found),
            *both_routes("/%C3%A9", named("encoded")),
            *both_routes("/é", named("decoded")),
            *both_routes("", named("no_slash")),
            Route("/def/mixed/{name}", named("sync_of_two"), methods=["GET"]),
            Route("/def/mixed/{name}", as_async(named("async_of_two")), methods=["POST"]),
            Route("/def/class", Endpoint),
            Route("/def/object", CallableEndpoint()),
            Route("/def/partial", functools.partial(with_prefix, "partial")),
            Route("/def/any", named("any"), methods=["GET", "OPTIONS", "TRACE", "PROPFIND"]),
            Mount("/def/mount", inner, name="inner"),
            Mount("/def/mounted/{tenant}", routes=[*both_routes("/found/{x}", found), Mount("/deep", inner)]),
            Mount("/def/router", router),
            Mount("/def/static", StaticFiles(directory="tests/sync_endpoints")),
            Host("{sub}.example.org", Router(routes=both_routes("/host", found))),
        ]
    )


def make_api() -> FastAPI:
    """Routers below routers with prefixes, a sub-application, redirects, HEAD that FastAPI does not add."""
    api = FastAPI()
    leaf = APIRouter(prefix="/leaf")
    branch = APIRouter(prefix="/branch/{branch}")
    both(leaf, "/found/{x}")(found_fastapi)
    both(leaf, "/items/")(found_fastapi)
    both(branch, "/found")(found_fastapi)
    branch.include_router(leaf)
    api.include_router(branch, prefix="/tree")
    api.include_router(leaf)
    both(api, "/methods", methods=["GET", "HEAD"])(lambda: "get and head")
    both(api, "/methods", methods=["PATCH"])(lambda: "patch")
    both(api, "/only-post", methods=["POST"])(lambda: "post")
    both(api, "/users/me")(lambda: "me")
    both(api, "/users/{name}")(lambda name: name)
    sub = FastAPI()
    both(sub, "/found/{x}")(found_fastapi)
    api.mount("/sub", sub)
    api.mount("/starlette", Starlette(routes=both_routes("/found", found)))
    return api


def found_fastapi(request: Request) -> Any:
    return found(request)


def make_without_redirects() -> FastAPI:
    api = FastAPI(redirect_slashes=False)
    both(api, "/slash/")(found_fastapi)
    both(api, "/plain")(found_fastapi)
    return api


def make_with_root_path() -> FastAPI:
    api = FastAPI()
    # The parameter is deprecated in newer versions, what it sets is not.
    api.root_path = "/outer"
    both(api, "/found")(found_fastapi)
    return api


def _once(*targets: str, method: str = "GET", host: str = "") -> list[Case]:
    headers = (("Host", host),) if host else ()
    return [Case(target, method, headers, is_absolute=True, label=host) for target in targets]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
STARLETTE_CASES = [
    *(Case(target) for target in ("/found", "/found/", "/found?a=b", "/slash", "/slash/", "/slash?a=b", "", "/")),
    *(Case("/methods", method) for method in METHODS),
    *(Case(f"/overlap/{name}", method) for name in ("me", "5", "x") for method in ("GET", "POST", "PUT")),
    *(Case(f"/hex/{value}") for value in ("ff", "FF", "g", "ff/")),
    *(Case(target) for target in ("/dots/a.b", "/dots/a.b.c", "/dots/a", "/two/a-b", "/two/a-b-c", "/two/ab")),
    *(Case(target) for target in ("/literal/a+b(c)", "/literal/a%2Bb(c)", "/literal/aab(c)", "/%C3%A9", "/%c3%a9")),
    *(Case(target) for target in ("/%25C3%25A9", "//found", "/./found", "/x/../found", "/found%3F", "/FOUND")),
    *(case for method in METHODS for case in _once("/def/mixed/x", "/def/class", "/def/any", method=method)),
    *_once("/def/object", "/def/partial", "/def/nowhere", "/nowhere", "/def/mount", "/def/mount/", "/def/mount/x"),
    *_once("/def/mount/def/found", "/def/mount/async/found", "/def/mount/def/found/a/b", "/def/mount/def/found/"),
    *_once("/def/mounted/t/def/found/1", "/def/mounted/t/async/found/1", "/def/mounted/t/deep/def/found"),
    *_once("/def/router/def/", "/def/router/def", "/def/router/def/slash", "/def/router/async/slash/"),
    *_once("/def/static/__init__.py", "/def/static/missing", "/def/static", "/def/static/../apps.py"),
    Case("/found", version="1.0", label="HTTP/1.0"),
]
HOST_CASE = [Case("/found", headers=(("X-Forwarded-Host", "a.example.org"),), label="forwarded")]
API_CASES = [
    *(Case(f"/methods{end}", method) for end in ("", "/") for method in METHODS),
    *(Case("/only-post", method) for method in ("GET", "HEAD", "OPTIONS", "POST")),
    *(Case(target) for target in ("/users/me", "/users/you", "/users/", "/users")),
    *_once("/tree/branch/b/def/found", "/tree/branch/b/async/found", "/tree/branch/b/def/found/"),
    *_once("/tree/branch/b/leaf/def/found/1", "/tree/branch/b/leaf/async/found/1", "/tree/branch/b/leaf/def/items"),
    *_once("/leaf/def/found/1", "/leaf/async/found/1", "/leaf/def/items", "/leaf/async/items/", "/leaf/def/items?a=b"),
    *_once("/sub/def/found/1", "/sub/async/found/1", "/sub/def/nowhere", "/sub", "/sub/", "/sub/docs"),
    *_once(
        "/starlette/def/found",
        "/starlette/async/found",
        "/docs",
        "/redoc",
        "/sub/openapi.json",
        "/openapi.json",
        "/def",
    ),
]
SLASHES = [Case(target) for target in ("/slash", "/slash/", "/plain", "/plain/")]

FAMILIES = [
    Family("Starlette routing", make_starlette, [*STARLETTE_CASES, *HOST_CASE]),
    Family("FastAPI routing", make_api, API_CASES),
    Family("no redirects", make_without_redirects, SLASHES),
    Family("root_path of the app", make_with_root_path, [Case("/found"), Case("/found/")]),
    Family("root_path of the server", make_api, API_CASES[-16:], {"root_path": "/outer"}),
    Family("root_path twice", make_starlette, STARLETTE_CASES[:8], {"root_path": "/def"}),
]

"""Why routes do not take the endpoint lane: every obstacle, and that the most telling one is named."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from bicorn.sync_endpoints import plan_lanes
from tests.sync_endpoints.planning import lanes_of, planned, why_not

KNOWN_MIDDLEWARE = [
    Middleware(CORSMiddleware, allow_origins=["*"]),
    Middleware(GZipMiddleware, minimum_size=10),
    Middleware(HTTPSRedirectMiddleware),
    Middleware(RequestBodyLimitMiddleware, max_body_size=10),
    Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"]),
]


def respond(request: Any) -> PlainTextResponse:
    return PlainTextResponse("")


def plain() -> int:
    return 1


async def plain_async() -> int:
    return 1


def numbers() -> Any:
    yield 1


async def numbers_async() -> Any:
    yield 1


class Ware:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class OwnCORS(CORSMiddleware): ...


class HTTPWare(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


async def add_header(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def named(value: Any) -> str:
    return f"{__name__}.{value.__qualname__}"


def needing(value: Any) -> str:
    return f"middleware {named(value)} may need the event loop"


def fastapi(endpoint: Any = plain, **options: Any) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/", endpoint, **options)
    return app


@pytest.mark.parametrize("endpoint", [numbers, numbers_async])
def test_generator(endpoint: Any) -> None:
    assert why_not(fastapi(endpoint)) == "endpoint is a generator"
    assert why_not(Starlette(routes=[Route("/", endpoint)])) == "endpoint is a generator"


class Handlers(HTTPEndpoint):
    def get(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("")

    async def dispatch(self) -> None: ...


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (Ware(None), "endpoint is an asgi application"),
        (Ware, "endpoint is an asgi application"),
        (StaticFiles(directory="."), "endpoint is an asgi application"),
        (Handlers, f"endpoint has more than handlers of its own: {named(Handlers)}"),
    ],
)
def test_asgi_application_as_endpoint(endpoint: Any, expected: str) -> None:
    assert why_not(Starlette(routes=[Route("/", endpoint)])) == expected


@pytest.mark.parametrize("middleware", KNOWN_MIDDLEWARE, ids=lambda middleware: middleware.cls.__name__)
@pytest.mark.parametrize("is_started", [True, False])
def test_known_middleware_is_no_obstacle(middleware: Middleware, is_started: bool) -> None:
    for app in (Starlette(routes=[Route("/", respond)], middleware=[middleware]), fastapi()):
        if isinstance(app, FastAPI):
            app.user_middleware.append(middleware)
        if is_started:
            app.middleware_stack = app.build_middleware_stack()
        assert why_not(app) is None
        cls, arguments, options = middleware
        assert lanes_of(cls(app, *arguments, **options)) == {"/": None}
    assert why_not(Starlette(routes=[Route("/", respond, middleware=[middleware])])) is None
    assert (
        why_not(Starlette(routes=[Mount("/m", routes=[Route("/", respond)], middleware=[middleware])]), "/m/") is None
    )
    assert why_not(Router(routes=[Route("/", respond)], middleware=[middleware])) is None


@pytest.mark.parametrize("is_started", [True, False])
@pytest.mark.parametrize(
    ("middleware", "reason"),
    [
        (Middleware(Ware), needing(Ware)),
        (Middleware(OwnCORS), needing(OwnCORS)),
        (Middleware(HTTPWare), needing(HTTPWare)),
        (Middleware(BaseHTTPMiddleware, dispatch=add_header), needing(add_header)),
        (
            Middleware(AuthenticationMiddleware, backend=None),
            "middleware starlette.middleware.authentication.AuthenticationMiddleware may need the event loop",
        ),
    ],
)
def test_other_middleware(middleware: Middleware, reason: str, is_started: bool) -> None:
    app = Starlette(routes=[Route("/", respond)], middleware=[KNOWN_MIDDLEWARE[0], middleware, Middleware(Ware)])
    if is_started:
        app.middleware_stack = app.build_middleware_stack()
    assert why_not(app) == reason
    assert (app.middleware_stack is None) is not is_started
    assert why_not(Starlette(routes=[Route("/", respond, middleware=[middleware])])) == reason
    mount = Mount("/m", routes=[Route("/", respond)], middleware=[middleware])
    assert lanes_of(Starlette(routes=[mount]))["/m/{path:path}"] is not None
    assert why_not(Router(routes=[Route("/", respond)], middleware=[middleware])) == reason


def test_function_as_middleware() -> None:
    app = fastapi()
    app.middleware("http")(add_header)
    assert why_not(app) == needing(add_header)


def test_async_endpoint_says_more_than_middleware_and_middleware_more_than_dependencies() -> None:
    app = FastAPI(openapi_url=None)
    app.add_middleware(Ware)
    app.add_api_route("/async", plain_async)
    app.add_api_route("/dependency", plain, dependencies=[Depends(plain_async)])
    assert lanes_of(app) == {"/async": "endpoint is async", "/dependency": needing(Ware)}


class Async:
    async def __call__(self) -> int:
        return 1


class OwnBearer:
    async def __call__(self, request: Any = None) -> int:
        return 1


@pytest.mark.parametrize("dependency", [plain_async, numbers_async, Async(), OwnBearer()])
def test_async_dependency(dependency: Any) -> None:
    def inner(value: int = Depends(dependency)) -> int:
        return value

    name = named(dependency if hasattr(dependency, "__qualname__") else type(dependency))
    for outer in (dependency, inner):
        assert why_not(fastapi(dependencies=[Depends(outer)])) == f"dependency {name} is async"


def test_dependency_with_limited_concurrency() -> None:
    try:
        dependency = Depends(plain, max_concurrency=2)
    except TypeError:
        pytest.skip("FastAPI does not limit dependencies")
    assert why_not(fastapi(dependencies=[dependency])) == f"dependency {named(plain)} limits its concurrency"


class Rendered(JSONResponse):
    def render(self, content: Any) -> bytes:
        return b""


class Constructed(JSONResponse):
    def __init__(self, content: Any, **options: Any) -> None:
        super().__init__(content, **options)


class Sending(JSONResponse):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("response_class", "expected"),
    [
        (Rendered, None),
        (Constructed, f"response class {named(Constructed)} has a constructor of its own"),
        (Sending, f"response class {named(Sending)} may need the event loop"),
        (StreamingResponse, "response class starlette.responses.StreamingResponse may need the event loop"),
        (FileResponse, "response class starlette.responses.FileResponse may need the event loop"),
    ],
)
def test_response_class(response_class: Any, expected: str | None) -> None:
    assert why_not(fastapi(response_class=response_class)) == expected


class OwnRoute(APIRoute): ...


class WrappingRoute(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def wrapped(request: Any) -> Any:
            return await handler(request)

        return wrapped


class MatchingRoute(APIRoute):
    def matches(self, scope: Any) -> Any:
        return super().matches(scope)


@pytest.mark.parametrize("prefix", ["", "/included"])
@pytest.mark.parametrize("route_class", [OwnRoute, WrappingRoute, MatchingRoute])
def test_route_class(route_class: type[APIRoute], prefix: str) -> None:
    router = APIRouter(route_class=route_class)
    router.add_api_route("/x", plain)
    app = FastAPI(openapi_url=None)
    if prefix:
        app.include_router(router, prefix=prefix)
    else:
        app.router.routes.extend(router.routes)
    (route,) = planned(app).routes
    assert route.why_not == f"route class {named(route_class)} is not known"
    assert route.parts == (None if route_class is MatchingRoute else (("literal", f"{prefix}/x"),))


def test_handler_that_was_wrapped() -> None:
    app = fastapi()
    (route,) = app.router.routes
    app_of_route = route.app  # type: ignore[attr-defined]

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        await app_of_route(scope, receive, send)

    route.app = wrapped  # type: ignore[attr-defined]
    assert why_not(app) == f"middleware {named(wrapped)} may need the event loop"


def test_dependency_overrides() -> None:
    app = fastapi()
    app.dependency_overrides[plain_async] = plain
    assert why_not(app) == "dependency_overrides is not empty"


def test_unknown_mount_and_host_match_whatever_is_below_them() -> None:
    app = Starlette(
        routes=[
            Mount("/files", StaticFiles(directory=".")),
            Mount("/hosts", routes=[Host("example.org", Starlette(routes=[Route("/", respond)]))]),
            Route("/before", respond),
            Host("{name}.example.org", Starlette()),
            Route("/after", respond),
        ]
    )
    assert [(route.parts, route.why_not) for route in planned(app).routes] == [
        (
            (("literal", "/files/"), ("path", "path")),
            "application starlette.staticfiles.StaticFiles is neither starlette's nor fastapi's own",
        ),
        ((("literal", "/hosts"), ("path", "path")), "host routes look at a header"),
        ((("literal", "/hosts/"), ("path", "path")), "no route below the mount matches"),
        ((("literal", "/before"),), None),
        (None, "host routes look at a header"),
        ((("literal", "/after"),), "behind /{path:path}, which may take its requests"),
    ]


def test_application_that_is_mounted_into_itself_has_an_end() -> None:
    app = Starlette(routes=[Route("/x", respond)])
    app.router.mount("/again", app)
    assert lanes_of(app) == {"/x": None, "/again/{path:path}": "application is mounted into itself"}


def test_root_path_of_an_application() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions say that it is deprecated
        app = FastAPI(openapi_url=None, root_path="/api")
    app.add_api_route("/x", plain)
    app.mount("/sub", fastapi())
    plan = planned(app)
    reason = "mounts match differently with FastAPI(root_path=…)"
    assert plan.root_path == "/api"
    assert lanes_of(app) == {"/x": None, "/sub/{path:path}": reason}
    assert lanes_of(Starlette(routes=[Mount("/sub", app)])) == {"/sub/{path:path}": reason}


def test_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    app = FastAPI(openapi_url=None, telemetry={"tracer_provider": trace.NoOpTracerProvider()})
    app.add_api_route("/", plain)
    assert why_not(app) == "telemetry is enabled"


class OwnFastAPI(FastAPI): ...


@pytest.mark.parametrize("app", [OwnFastAPI(), Ware(Starlette()), plain_async, None, 3])
def test_application_that_is_no_frameworks(app: Any) -> None:
    plan = plan_lanes(app)
    assert plan.routes == ()
    assert plan.why_not is not None
    assert plan.why_not.endswith("is neither starlette's nor fastapi's own"), plan.why_not


@pytest.mark.parametrize("package", ["starlette", "fastapi"])
def test_version_that_was_not_checked(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{package}.__version__", "0.0.1")
    assert plan_lanes(fastapi()).why_not == f"{package} 0.0.1 is not a version that was checked"


def test_surprise_is_a_reason() -> None:
    app = fastapi()
    app.router = None  # type: ignore[assignment]
    assert plan_lanes(app).why_not is not None
    app = Starlette(routes=[Route("/x", respond), Route("/y", respond)])
    del app.routes[0].app  # type: ignore[attr-defined]
    lanes = planned(app).routes
    assert [route.parts for route in lanes] == [None, (("literal", "/y"),)]
    assert str(lanes[0].why_not).startswith("cannot be looked at: AttributeError")

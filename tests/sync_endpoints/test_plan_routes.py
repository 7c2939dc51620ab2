"""Which routes take the endpoint lane: what applications are built of, each `def` beside its `async def` twin."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, File, Form, Request, Response, UploadFile, security
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Mount, Route, WebSocketRoute

from tests.sync_endpoints.planning import find_route, lanes_of, planned, why_not

ASYNC = "endpoint is async"


class Model(BaseModel):
    name: str


def respond(request: Any) -> PlainTextResponse:
    return PlainTextResponse("")


async def respond_async(request: Any) -> PlainTextResponse:
    return PlainTextResponse("")


class Views:
    def method(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("")

    async def async_method(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse("")


class Callable:
    def __call__(self) -> int:
        return 1


class AsyncCallable:
    async def __call__(self) -> int:
        return 1


@functools.wraps(respond_async)
def wrapper_of_async(request: Any) -> Any:
    return respond_async(request)


def configured(factor: int, item: int) -> int:
    return factor * item


async def configured_async(factor: int, item: int) -> int:
    return factor * item


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (respond, None),
        (respond_async, ASYNC),
        (functools.partial(respond), None),
        (functools.partial(functools.partial(respond_async)), ASYNC),
        (Views().method, None),
        (Views().async_method, ASYNC),
        (functools.partial(Views().method), None),
        (wrapper_of_async, None),
    ],
)
def test_starlette_endpoint(endpoint: Any, expected: str | None) -> None:
    assert why_not(Starlette(routes=[Route("/", endpoint)])) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (functools.partial(configured, 2), None),
        (functools.partial(configured_async, 2), ASYNC),
        (Callable(), None),
        (AsyncCallable(), ASYNC),
        (Callable, None),
        # FastAPI looks through functools.wraps and awaits what it finds there.
        (wrapper_of_async, ASYNC),
    ],
)
def test_fastapi_endpoint(endpoint: Any, expected: str | None) -> None:
    app = FastAPI()
    app.add_api_route("/", endpoint, response_model=None)
    assert why_not(app) == expected


def create(model: Model) -> Model:
    return model


def everything_injected(request: Request, response: Response, background: BackgroundTasks) -> dict[str, str]:
    return {}


def form(name: Annotated[str, Form()], file: Annotated[bytes, File()], upload: UploadFile) -> None: ...


def many(item: int, names: list[str], model: Model, flag: bool = False) -> list[Model]:
    return [model]


@pytest.mark.parametrize("endpoint", [create, everything_injected, form, many])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"status_code": 201},
        {"response_class": HTMLResponse},
        {"response_class": PlainTextResponse},
        {"response_class": JSONResponse},
        {"response_class": RedirectResponse},
        {"response_model": None},
        {"response_model_exclude_unset": True},
        {"methods": ["PUT", "PATCH"]},
    ],
)
def test_fastapi_route_takes_the_endpoint_lane(endpoint: Any, options: dict[str, Any]) -> None:
    app = FastAPI()
    app.add_api_route("/{item}", endpoint, **({"methods": ["POST"]} | options))
    assert why_not(app, "/{item}") is None


def plain() -> int:
    return 1


def nested(one: Annotated[int, Depends(plain)], two: Annotated[int, Depends(Callable())]) -> int:
    return one + two


def opened(number: Annotated[int, Depends(nested)]) -> Any:
    yield number


class Pages:
    def __init__(self, skip: int = 0, limit: int = 10) -> None:
        self.skip = skip


SCHEMES = [
    security.APIKeyCookie(name="key"),
    security.APIKeyHeader(name="key"),
    security.APIKeyQuery(name="key"),
    security.HTTPBasic(),
    security.HTTPBearer(),
    security.HTTPDigest(),
    security.OAuth2(),
    security.OAuth2PasswordBearer(tokenUrl="token"),
    security.OAuth2AuthorizationCodeBearer(authorizationUrl="authorize", tokenUrl="token"),
    security.OpenIdConnect(openIdConnectUrl="openid"),
]


class Scheme(security.HTTPBearer):
    def make_not_authenticated_error(self) -> Any:
        return RuntimeError()


@pytest.mark.parametrize(
    "dependency",
    [plain, nested, opened, Pages, Callable(), security.OAuth2PasswordRequestForm, *SCHEMES, Scheme()],
    ids=lambda dependency: getattr(dependency, "__name__", type(dependency).__name__),
)
def test_dependency_that_needs_no_loop(dependency: Any) -> None:
    def endpoint(value: int = Depends(dependency)) -> None: ...

    app = FastAPI()
    app.add_api_route("/parameter", endpoint, methods=["POST"])
    app.add_api_route("/list", plain, methods=["POST"], dependencies=[Depends(dependency)])
    assert lanes_of(app) == {"/parameter": None, "/list": None}


def test_included_routers_fall_through_and_carry_prefixes() -> None:
    inner = APIRouter(prefix="/inner")
    inner.add_api_route("/{item:int}", plain)
    inner.add_route("/starlette", respond)
    outer = APIRouter(dependencies=[Depends(nested)])
    outer.include_router(inner, prefix="/outer", dependencies=[Depends(opened)])
    app = FastAPI()
    app.include_router(outer, prefix="/v{version}")
    app.include_router(outer, prefix="/again")
    app.add_api_route("/{rest:path}", Callable())

    plan = planned(app)
    assert [(route.path, route.why_not) for route in plan.routes[4:]] == [
        ("/v{version}/outer/inner/{item:int}", None),
        ("/v{version}/outer/starlette", None),
        ("/again/outer/inner/{item:int}", None),
        ("/again/outer/starlette", None),
        ("/{rest:path}", None),
    ]
    found = find_route(plan, "GET", "/v1/outer/inner/x")
    assert found is not None
    assert found.path == "/{rest:path}"


def test_dependency_of_an_including_router_counts() -> None:
    async def check() -> None: ...

    router = APIRouter()
    router.add_api_route("/x", plain)
    app = FastAPI()
    app.include_router(router, prefix="/free")
    app.include_router(router, prefix="/checked", dependencies=[Depends(check)])
    lanes = lanes_of(app)
    assert lanes["/free/x"] is None
    assert lanes["/checked/x"] == f"dependency {__name__}.{check.__qualname__} is async"


def test_mounts_end_with_an_entry_for_all_below() -> None:
    sub = FastAPI(openapi_url=None)
    sub.add_api_route("/x", plain)
    app = FastAPI(openapi_url=None)
    app.mount("/sub", sub)
    app.mount("/star", Starlette(routes=[Route("/y", respond), Mount("/deep/{a}", routes=[Route("/z", respond)])]))
    app.add_api_route("/sub/x", plain)
    assert lanes_of(app) == {
        "/sub/x": None,
        "/sub/{path:path}": "no route below the mount matches",
        "/star/y": None,
        "/star/deep/{a}/z": None,
        "/star/deep/{a}/{path:path}": "no route below the mount matches",
        "/star/{path:path}": "no route below the mount matches",
    }
    assert [route.path for route in planned(app).routes].count("/sub/x") == 2
    missing = find_route(planned(app), "GET", "/sub/y")
    assert missing is not None
    assert missing.path == "/sub/{path:path}"


def test_mount_in_an_included_router() -> None:
    router = APIRouter()
    router.mount("/m", Starlette(routes=[Route("/x", respond)]))
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/api")
    assert lanes_of(app) == {"/api/m/x": None, "/api/m/{path:path}": "no route below the mount matches"}


def test_methods_are_the_frameworks() -> None:
    async def open_socket(websocket: Any) -> None: ...

    app = FastAPI(openapi_url=None)
    app.add_api_route("/api", plain, methods=["get", "POST"])
    app.add_route("/star", respond)
    app.router.add_websocket_route("/star", open_socket)
    app.router.routes.append(WebSocketRoute("/socket", open_socket))
    assert [(route.path, route.methods) for route in planned(app).routes] == [
        ("/api", {"GET", "POST"}),
        ("/star", {"GET", "HEAD"}),
    ]
    assert find_route(planned(app), "HEAD", "/api") is None


def test_class_of_handlers_is_in_the_lane_for_their_methods() -> None:
    class Item(HTTPEndpoint):
        def get(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("")

    class AsyncItem(Item):
        async def post(self, request: Any) -> PlainTextResponse:
            return PlainTextResponse("")

    some = Route("/some", Item, methods=["GET", "POST"])
    plan = planned(Starlette(routes=[Route("/item", Item), some, Route("/async", AsyncItem)]))
    without = "endpoint has no handler for the method"
    assert [(route.methods, route.why_not) for route in plan.routes] == [
        ({"GET", "HEAD"}, None),
        (None, without),
        ({"GET", "HEAD"}, None),
        ({"GET", "HEAD", "POST"}, without),
        (None, ASYNC),
    ]

"""What makes a plan invalid: changes of the application after it, and frameworks that were changed before it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import starlette.requests
import starlette.routing
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from bicorn.sync_endpoints import LanePlan, RouteLane, format_lanes, plan_lanes
from tests.sync_endpoints.planning import planned


def respond(request: Any) -> PlainTextResponse:
    return PlainTextResponse("")


def plain() -> int:
    return 1


def build() -> tuple[FastAPI, APIRouter, Starlette]:
    router = APIRouter()
    router.add_api_route("/x", plain)
    mounted = Starlette(routes=[Route("/y", respond)])
    app = FastAPI()
    app.include_router(router, prefix="/included")
    app.mount("/mounted", mounted)
    return app, router, mounted


def lengths(plan: LanePlan) -> list[int]:
    return [len(guard) for guard in plan.guards]


CHANGES: dict[str, Callable[[FastAPI, APIRouter, Starlette], object]] = {
    "route": lambda app, router, mounted: app.add_api_route("/z", plain),
    "included route": lambda app, router, mounted: router.add_api_route("/z", plain),
    "mounted route": lambda app, router, mounted: mounted.router.routes.append(Route("/z", respond)),
    "included router": lambda app, router, mounted: router.include_router(APIRouter(prefix="/z")),
    "mount": lambda app, router, mounted: app.mount("/z", Starlette()),
    "removed route": lambda app, router, mounted: app.router.routes.pop(),
    "other routes": lambda app, router, mounted: setattr(app.router, "routes", list(app.router.routes)),
    "other router": lambda app, router, mounted: setattr(app, "router", APIRouter()),
    "override": lambda app, router, mounted: app.dependency_overrides.update({plain: plain}),
    "other overrides": lambda app, router, mounted: setattr(app, "dependency_overrides", {plain: plain}),
    "other middleware": lambda app, router, mounted: setattr(app, "middleware_stack", None),
    "mounted middleware": lambda app, router, mounted: setattr(mounted, "middleware_stack", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_noticed(change: str) -> None:
    app, router, mounted = build()
    plan = planned(app)
    before = lengths(plan)
    assert lengths(plan) == before
    CHANGES[change](app, router, mounted)
    assert lengths(plan) != before


def test_requests_change_no_guard() -> None:
    app, _, _ = build()
    plan = planned(app)
    before = lengths(plan)

    async def request_all() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            paths = ("/included/x", "/mounted/y", "/docs", "/nothing")
            return [(await client.get(path)).status_code for path in paths]

    assert asyncio.run(request_all()) == [200, 200, 200, 404]
    assert lengths(plan) == before
    assert planned(app).routes == plan.routes


@functools.wraps(starlette.routing.request_response)
def wrapping(*args: Any, **kwargs: Any) -> Any: ...


class OwnRequest(starlette.requests.Request): ...


class Proxy:
    """An object that claims to be a function, as wrapt's do."""

    @property
    def __class__(self) -> Any:
        return type(wrapping)

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("starlette.routing.request_response", wrapping),
        ("starlette.routing.Request", OwnRequest),
        ("starlette.requests.Request.body", wrapping),
        ("starlette.applications.Starlette.__call__", wrapping),
        ("starlette.responses.Response.headers", property(wrapping)),
        ("starlette.concurrency.run_in_threadpool", Proxy()),
        ("fastapi.routing.run_endpoint_function", Mock()),
        ("fastapi.routing.get_request_handler", wrapping),
        ("fastapi.dependencies.utils.solve_dependencies", functools.lru_cache(wrapping)),
        ("anyio.to_thread.run_sync", wrapping),
    ],
)
def test_framework_that_was_patched_has_no_lane(target: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _, _ = build()
    assert plan_lanes(app).why_not is None
    monkeypatch.setattr(target, value)
    reason = str(plan_lanes(app).why_not)
    assert " is replaced by " in reason
    assert reason.startswith((f"{target} ", target.rpartition(".")[0])), reason


@pytest.mark.parametrize(
    "target",
    ["fastapi.applications.get_swagger_ui_html", "fastapi.openapi.utils.get_openapi", "fastapi.FastAPI.openapi"],
)
def test_documentation_may_be_patched(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, wrapping)
    assert plan_lanes(build()[0]).why_not is None


def test_bicorns_own_patches_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    import bicorn.importer

    monkeypatch.setattr("anyio.to_thread.run_sync", bicorn.importer.import_from_string)
    assert plan_lanes(build()[0]).why_not is None


def test_planning_runs_no_middleware_of_the_application() -> None:
    class Ware:
        def __init__(self, app: Any) -> None:
            raise AssertionError("built too early")

    app = FastAPI()
    app.add_middleware(Ware)
    app.add_api_route("/", plain)
    assert "Ware may need the event loop" in str(planned(app).routes[-1].why_not)
    assert app.middleware_stack is None


def test_table_of_lanes() -> None:
    async def plain_async() -> int:
        return 1

    app = FastAPI(openapi_url=None)
    app.add_api_route("/items/{item}", plain, methods=["POST", "GET"])
    app.add_api_route("/a", plain_async)
    app.router.routes.append(Mount("/m", routes=[]))
    name = f"{__name__}.plain"
    slow = f"{__name__}.{plain_async.__qualname__}"
    path = max("/items/{item}", "/m/{path:path}", key=len)
    lines = [
        ("METHODS ", "PATH".ljust(len(path)), "LANE    ", "ENDPOINT".ljust(len(slow)), "WHY NOT"),
        ("GET,POST", "/items/{item}".ljust(len(path)), "endpoint", name),
        ("GET     ", "/a".ljust(len(path)), "loop    ", slow, "endpoint is async"),
        (
            *("*       ", "/m/{path:path}", "loop    "),
            *("starlette.routing.Router".ljust(len(slow)), "no route below the mount matches"),
        ),
    ]
    assert format_lanes(planned(app)).splitlines() == ["  ".join(line) for line in lines]


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (LanePlan((), None, (), "starlette 0.20 is not a version that was checked"), "starlette 0.20 is not"),
        (LanePlan((), None, (), None), "the application has no routes"),
    ],
)
def test_table_without_routes_says_why(plan: LanePlan, text: str) -> None:
    assert format_lanes(plan).startswith(f"no endpoint lane: {text}")


def test_plan_holds_what_the_table_in_rust_needs() -> None:
    app = Starlette(routes=[Route("/a/{b:int}", respond)])
    assert planned(app).routes == (
        RouteLane(
            methods=frozenset({"GET", "HEAD"}),
            parts=(("literal", "/a/"), ("int", "b")),
            path="/a/{b:int}",
            name=f"{__name__}.respond",
            why_not=None,
        ),
    )

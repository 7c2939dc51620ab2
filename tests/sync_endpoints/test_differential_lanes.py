"""The comparison means something: the `def` routes of the differential apps take the endpoint lane, the others not."""

from __future__ import annotations

import pytest

from tests.sync_endpoints.families import Family
from tests.sync_endpoints.test_differential_answers import FAMILIES

sync_endpoints = pytest.importorskip("bicorn.sync_endpoints")

# Middleware of a user's own may need the loop, and so does Starlette's that calls a user's coroutine.
WITHOUT_LANE = ("authentication", "pure", "two pure", "base", "all", "by decorator")
IN_LANE = [family for family in FAMILIES if family.name.removeprefix("middleware ") not in WITHOUT_LANE]
NOT_IN_LANE = [family for family in FAMILIES if family not in IN_LANE]

# Beginnings of the reasons for which a `def` endpoint of these apps may stay on the loop.
REASONS = ("dependency", "path has a convertor of the application's", "middleware tests.")


@pytest.mark.parametrize("family", IN_LANE, ids=str)
def test_def_routes_are_in_the_lane(family: Family) -> None:
    plan = sync_endpoints.plan_lanes(family.make_app())
    assert plan.why_not is None
    routes = [route for route in plan.routes if _kind(route.path) == "def" and "{path:path}" not in route.path]
    assert [route.path for route in routes if route.why_not is None], "no route at all is in the lane"
    wrong = {route.path: route.why_not for route in routes if not _is_expected(route.why_not)}
    assert wrong == {}


def _is_expected(why_not: str | None) -> bool:
    if why_not is None:
        return True
    # Endpoints of the routing apps that are no `def` functions although their path says so.
    return why_not.startswith(REASONS) or why_not in ("endpoint is async", "endpoint is an asgi application")


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_async_routes_are_not_in_the_lane(family: Family) -> None:
    plan = sync_endpoints.plan_lanes(family.make_app())
    wrong = [route.path for route in plan.routes if route.why_not is None and _kind(route.path) == "async"]
    assert wrong == []


@pytest.mark.parametrize("family", NOT_IN_LANE, ids=str)
def test_no_route_behind_unknown_middleware_is_in_the_lane(family: Family) -> None:
    plan = sync_endpoints.plan_lanes(family.make_app())
    assert [route.path for route in plan.routes if route.why_not is None] == []


def _kind(path: str) -> str | None:
    """Tell the kind of the endpoint by the last part of the path that says so."""
    kinds = [part for part in path.split("/") if part in ("def", "async")]
    # /def/async/… is a `def` endpoint with an `async def` dependency; below a mount or a prefix the endpoint is last.
    if not kinds:
        return None
    return (
        kinds[0]
        if path.startswith(("/def/", "/async/")) and "mount" not in path and "router" not in path
        else kinds[-1]
    )

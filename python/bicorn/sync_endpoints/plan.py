"""From an application to its lanes: `plan_lanes`, called once the application has started up, before it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicorn.sync_endpoints import middleware
from bicorn.sync_endpoints.frameworks import find_unchecked_version, is_exactly, name_of
from bicorn.sync_endpoints.integrity import find_replaced
from bicorn.sync_endpoints.lanes import LanePlan, RouteLane
from bicorn.sync_endpoints.walk import APPLICATIONS, ROUTER, Around, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def plan_lanes(app: object) -> LanePlan:
    """Prove which routes of an application may take the endpoint lane.

    It never raises: an application that surprises it has no lane, and the plan says why. What the application's first
    request would make (its middleware, the handlers of included routers) is made here.
    """
    try:
        return _plan(app)
    except Exception as error:
        return LanePlan((), None, (), describe_surprise(error))


def describe_surprise(error: Exception) -> str:
    """Say what was raised while something was looked at, on one line."""
    return f"cannot be looked at: {type(error).__name__}: {error}".replace("\n", " ")


def _plan(app: Any) -> LanePlan:
    inside = middleware.unwrap(app)
    if not is_exactly(inside, *APPLICATIONS, ROUTER):
        return LanePlan((), None, (), f"application {name_of(inside)} is neither starlette's nor fastapi's own")
    if (obstacle := find_unchecked_version() or find_replaced()) is not None:
        return LanePlan((), None, (), obstacle)

    walk = Walk(root_path=getattr(inside, "root_path", None) or None)
    around = Around(mounted=(id(inside),))
    if is_exactly(inside, ROUTER):
        walk.add_router(inside, around)
    else:
        walk.add_application(inside, around)
    return LanePlan(tuple(_with_reach(walk.routes)), walk.root_path, tuple(walk.guards.values()), None)


def _with_reach(routes: Iterable[RouteLane]) -> Iterator[RouteLane]:
    """Give a reason to what stands behind a route of which nobody can say which requests it takes."""
    unknown: RouteLane | None = None
    for route in routes:
        if unknown is not None and route.why_not is None:
            yield route._replace(why_not=f"behind {unknown.path}, which may take its requests")
        else:
            yield route
        if route.parts is None and unknown is None:
            unknown = route

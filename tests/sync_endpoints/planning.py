"""What the tests of lane plans share: short ways to plan and look, and a matcher of paths as the plan documents it."""

from __future__ import annotations

import re
from typing import Any

from bicorn.sync_endpoints import LanePlan, RouteLane, plan_lanes

# What a part's kind matches; the documented meaning, not Starlette's constants.
KINDS = {
    "str": "[^/]+",
    "int": "[0-9]+",
    "float": r"[0-9]+(?:\.[0-9]+)?",
    "uuid": "[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}",
    "path": ".*",
}


def planned(app: Any) -> LanePlan:
    """Plan an application that must have a plan."""
    plan = plan_lanes(app)
    assert plan.why_not is None, plan.why_not
    return plan


def lanes_of(app: Any) -> dict[str, str | None]:
    """Map each path, without the documentation's, to why it does not take the endpoint lane."""
    hidden = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc")
    return {route.path: route.why_not for route in planned(app).routes if not route.path.endswith(hidden)}


def why_not(app: Any, path: str = "/") -> str | None:
    """Return why one path of an application does not take the endpoint lane."""
    lanes = lanes_of(app)
    assert path in lanes, f"{path} is not in {lanes}"
    return lanes[path]


def find_route(plan: LanePlan, method: str, path: str) -> RouteLane | None:
    """Find the route that decides, as the server's table does."""
    if "\n" in path:
        return None
    for route in plan.routes:
        if matches(route, path) and (route.methods is None or method in route.methods):
            return route
    return None


def matches(route: RouteLane, path: str) -> bool:
    """Tell whether the whole path matches the parts of a route."""
    if route.parts is None:
        return True
    expression = "".join(re.escape(text) if kind == "literal" else KINDS[kind] for kind, text in route.parts)
    return re.fullmatch(expression, path) is not None

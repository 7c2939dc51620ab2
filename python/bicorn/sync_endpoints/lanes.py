"""What is known about an application's routes: which lane each takes, and why not the endpoint lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sized

    from bicorn.sync_endpoints.paths import Parts

HEADINGS = ("METHODS", "PATH", "LANE", "ENDPOINT", "WHY NOT")


class RouteLane(NamedTuple):
    """One route, at its place in the order of matching."""

    # None: any method.
    methods: frozenset[str] | None
    # What the whole path below the root path must match: `("literal", "/items/")`, then `("str", "item_id")` for a
    # parameter; its kind is "str", "int", "float", "uuid" or "path", and means what Starlette's convertor matches. They
    # may match more than the route where `why_not` is set. None: the route may match anything.
    parts: Parts | None
    # As the framework writes it, with prefixes and mounts: "/items/{item_id}".
    path: str
    # "module.qualname" of the endpoint.
    name: str
    # None: endpoint lane. Else one short reason, the most telling one.
    why_not: str | None


class LanePlan(NamedTuple):
    """The lanes of an application, as long as the guards are as long as they were."""

    # The first one whose parts match and whose methods hold the request's decides. No path with a newline may take the
    # endpoint lane: Starlette's expressions treat one at the end as nothing.
    routes: tuple[RouteLane, ...]
    # `FastAPI(root_path=…)`, which replaces the server's. None: the server's. As for Starlette, a path that does not
    # begin with the root path and a slash is matched whole, and one that is the root path is empty.
    root_path: str | None
    # Each `len()` must stay what it is when the plan is made: route lists, `dependency_overrides`, and objects whose
    # length is 0 until what they watch is replaced.
    guards: tuple[Sized, ...]
    # None, or why no route of the whole application was looked at.
    why_not: str | None


def format_lanes(plan: LanePlan) -> str:
    """Return the table that `--show-lanes` prints, without a newline at its end."""
    if plan.why_not is not None:
        return f"no endpoint lane: {plan.why_not}"
    if not plan.routes:
        return "no endpoint lane: the application has no routes"
    rows = [HEADINGS, *(_format_route(route) for route in plan.routes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(_format_row(row, widths) for row in rows)


def _format_route(route: RouteLane) -> tuple[str, ...]:
    methods = "*" if route.methods is None else ",".join(sorted(route.methods))
    lane = "endpoint" if route.why_not is None else "loop"
    return methods, route.path, lane, route.name, route.why_not or ""


def _format_row(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

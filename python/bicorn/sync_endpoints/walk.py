"""The walk through an application: every route in the order in which the framework matches, with what stands around it.

A route that falls through when it does not match (included routers) is followed by the next one; a mount does not fall
through, so an entry for all that is below it ends it. Whatever is not known becomes an entry that matches too much and
stays on the event loop: it keeps what comes after it from being taken for what the framework would choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bicorn.sync_endpoints import endpoints, middleware
from bicorn.sync_endpoints.frameworks import find_method, is_exactly, loaded, name_of, shadows
from bicorn.sync_endpoints.lanes import RouteLane
from bicorn.sync_endpoints.paths import Parts, cut_path, everything_below, join_parts

if TYPE_CHECKING:
    from collections.abc import Sized

FASTAPI = "fastapi.applications:FastAPI"
APPLICATIONS = ("starlette.applications:Starlette", FASTAPI)
ROUTER = "starlette.routing:Router"
API_ROUTER = "fastapi.routing:APIRouter"
MOUNT = "starlette.routing:Mount"
ROUTES = ("starlette.routing:Route", "fastapi.routing:APIRoute")
WEBSOCKET_ROUTES = ("starlette.routing:WebSocketRoute", "fastapi.routing:APIWebSocketRoute")
INCLUDED_ROUTER = "fastapi.routing:_IncludedRouter"
EFFECTIVE_ROUTE = "fastapi.routing:_EffectiveRouteContext"


class Around(NamedTuple):
    """What stands around a route."""

    prefix: Parts = ()
    path: str = ""
    obstacle: str | None = None
    # Applications and routers that are mounted into one another; one that is mounted into itself has no end.
    mounted: tuple[int, ...] = ()


class Unchanged:
    """An application's attributes that a plan was made of; its length is 0 until one of them is another object."""

    __slots__ = ("app", "overrides", "router", "routes", "stack")

    def __init__(self, app: Any) -> None:
        """Note what the application's attributes are."""
        self.app = app
        self.router = app.router
        self.routes = app.router.routes
        self.stack = app.middleware_stack
        self.overrides = getattr(app, "dependency_overrides", None)

    @property
    def attributes(self) -> list[tuple[Any, str, Any]]:
        """What is looked at: an object, an attribute, and the object that it was; quicker than the length."""
        attributes = [
            (self.app, "middleware_stack", self.stack),
            (self.app, "router", self.router),
            (self.router, "routes", self.routes),
        ]
        if self.overrides is not None:
            attributes.append((self.app, "dependency_overrides", self.overrides))
        return attributes

    def __len__(self) -> int:
        app = self.app
        is_unchanged = (
            app.middleware_stack is self.stack
            and app.router is self.router
            and self.router.routes is self.routes
            and getattr(app, "dependency_overrides", None) is self.overrides
        )
        return 0 if is_unchanged else 1


class Walk:
    """Collects the routes and the guards of one application."""

    def __init__(self, root_path: str | None) -> None:
        """Begin with nothing; the root path is the outermost application's own."""
        self.root_path = root_path
        self.routes: list[RouteLane] = []
        self.guards: dict[int, Sized] = {}

    def add_application(self, app: Any, around: Around) -> None:
        """Add the routes of an application that is exactly Starlette or FastAPI."""
        obstacle = around.obstacle or middleware.build_stack(app) or _find_telemetry(app)
        self.guards[id(app)] = Unchanged(app)
        self.add_router(app.router, around._replace(obstacle=obstacle))

    def add_router(self, router: Any, around: Around) -> None:
        """Add the routes of a router, whose own middleware stands around them."""
        if not is_exactly(router, ROUTER, API_ROUTER) or shadows(router, "app"):
            return self._add_unknown(router, around, f"router {name_of(router)} is not known")
        obstacle = around.obstacle or middleware.find_obstacle(router.middleware_stack, router.app)
        self._add_routes(router, around._replace(obstacle=obstacle))

    def _add_routes(self, router: Any, around: Around) -> None:
        if type(router.routes) is not list:
            return self._add_unknown(router, around, f"routes are a {name_of(router.routes)}")
        self.guards[id(router.routes)] = router.routes
        for route in router.routes:
            self._add_route(route, around)

    def _add_route(self, route: Any, around: Around) -> None:
        try:
            if is_exactly(route, INCLUDED_ROUTER) and not shadows(route, "matches", "handle"):
                self._add_included_router(route, around)
            elif is_exactly(route, MOUNT) and not shadows(route, "matches", "handle"):
                self._add_mount(route, around)
            elif not _matches_as_one_of(route, WEBSOCKET_ROUTES):
                self._add_endpoint(route, route, around)
        except Exception as error:
            self._add_unknown(route, around, f"cannot be looked at: {type(error).__name__}: {error}")

    def _add_included_router(self, included: Any, around: Around) -> None:
        router = included.original_router
        if (
            not is_exactly(router, API_ROUTER)
            or shadows(router, "matches", "handle")
            or type(router.routes) is not list
        ):
            return self._add_unknown(router, around, f"router {name_of(router)} is not known")
        self.guards[id(router.routes)] = router.routes
        for candidate in included.effective_candidates():
            if is_exactly(candidate, EFFECTIVE_ROUTE):
                if candidate.starlette_route is not None:
                    self._add_route(candidate.starlette_route, around)
                else:
                    self._add_endpoint(candidate, candidate.original_route, around)
            else:
                self._add_route(candidate, around)

    def _add_mount(self, mount: Any, around: Around) -> None:
        cut = cut_path(mount.path + "/{path:path}", mount.path_regex, mount.param_convertors)
        if cut is None:
            return self._add_unknown(mount, around, f"mount {mount.path} does not match as its path says")
        below, is_exact = cut
        app = middleware.unwrap(mount.app)
        path = around.path + mount.path
        obstacle = self._find_mount_obstacle(app, below, around, is_exact=is_exact)
        if obstacle is None:
            prefix = (*below[:-2], ("literal", below[-2][1].removesuffix("/")))
            inner = Around(join_parts(around.prefix, prefix), path, around.obstacle, (*around.mounted, id(app)))
            if is_exactly(app, *APPLICATIONS):
                self.add_application(app, inner)
            else:
                self.add_router(app, inner)
        parts = join_parts(around.prefix, below)
        why_not = obstacle or "no route below the mount matches"
        self.routes.append(RouteLane(None, parts, f"{path}/{{path:path}}", name_of(app), why_not))

    def _find_mount_obstacle(self, app: Any, below: Parts, around: Around, *, is_exact: bool) -> str | None:
        """Return why nothing below a mount can be told, or None."""
        if not is_exactly(app, *APPLICATIONS, ROUTER, API_ROUTER):
            return f"application {name_of(app)} is neither starlette's nor fastapi's own"
        if id(app) in around.mounted:
            return "application is mounted into itself"
        if not is_exact:
            return "path has a convertor of the application's"
        if any(kind == "path" for kind, _ in below[:-1]):
            return "path of the mount has a parameter that may hold slashes"
        # With a root path that the request's path does not begin with, the routes inside see the whole path again.
        if self.root_path is not None or getattr(app, "root_path", None):
            return "mounts match differently with FastAPI(root_path=…)"
        return None

    def _add_endpoint(self, route: Any, original: Any, around: Around) -> None:
        """Add a route to an endpoint.

        Args:
            route: Where path, methods and the ASGI application are: the route, or what it is in an included router.
            original: The route itself, which is asked whether it matches.
            around: What stands around it.
        """
        if not _matches_as_one_of(original, ROUTES):
            return self._add_unknown(original, around, _describe_unknown(original))
        cut = cut_path(route.path, route.path_regex, route.param_convertors)
        if cut is None:
            return self._add_unknown(original, around, f"route {route.path} does not match as its path says")
        parts, is_exact = cut
        lane = RouteLane(
            methods=frozenset(route.methods) if route.methods else None,
            parts=join_parts(around.prefix, parts),
            path=around.path + route.path,
            name=name_of(route.endpoint),
            why_not=self._find_obstacle(route, original, around, is_exact=is_exact),
        )
        handled = endpoints.handled_methods(route.app)
        if lane.why_not is None and handled is not None:
            self.routes.append(lane._replace(methods=handled if lane.methods is None else handled & lane.methods))
            lane = lane._replace(why_not="endpoint has no handler for the method")
        self.routes.append(lane)

    def _find_obstacle(self, route: Any, original: Any, around: Around, *, is_exact: bool) -> str | None:
        inside = endpoints.find_obstacle(route.app, route.endpoint)
        if inside in endpoints.NOTHING_TO_GAIN or around.obstacle is not None:
            return inside if inside in endpoints.NOTHING_TO_GAIN else around.obstacle
        if not is_exactly(original, *ROUTES) or shadows(original, "handle"):
            return f"route class {name_of(type(original))} is not known"
        if not is_exact:
            return "path has a convertor of the application's"
        return inside or self._find_overrides(endpoints.find_provider(route.app))

    def _find_overrides(self, provider: Any) -> str | None:
        """Watch the dependency overrides that a route asks for; return what is already in the way, or None."""
        if provider is None:
            return None
        overrides = getattr(provider, "dependency_overrides", None)
        if not is_exactly(provider, FASTAPI) or type(overrides) is not dict:
            return f"dependency overrides of {name_of(provider)} are not known"
        self.guards.setdefault(id(provider), Unchanged(provider))
        self.guards[id(overrides)] = overrides
        return "dependency_overrides is not empty" if overrides else None

    def _add_unknown(self, route: Any, around: Around, why_not: str) -> None:
        parts = everything_below(around.prefix)
        self.routes.append(RouteLane(None, parts, f"{around.path}/{{path:path}}", name_of(route), why_not))


def _matches_as_one_of(route: Any, paths: tuple[str, ...]) -> bool:
    """Tell whether a route is asked for its match as a framework's own class is, even if it is a subclass."""
    known = [vars(cls)["matches"] for path in paths if (cls := loaded(path)) is not None]
    matches = find_method(type(route), "matches")
    is_plain = find_method(type(route), "__getattribute__") is object.__getattribute__
    return is_plain and any(matches is one for one in known) and not shadows(route, "matches")


def _describe_unknown(route: Any) -> str:
    if is_exactly(route, "starlette.routing:Host"):
        return "host routes look at a header"
    return f"route class {name_of(type(route))} is not known"


def _find_telemetry(app: Any) -> str | None:
    telemetry = getattr(app, "_native_telemetry", None)
    if telemetry is None:
        return None
    is_known = is_exactly(telemetry, "fastapi.telemetry._asgi:NativeTelemetry") and not shadows(telemetry, "enabled")
    return None if is_known and not telemetry.enabled() else "telemetry is enabled"

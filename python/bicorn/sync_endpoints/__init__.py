"""Which `def` endpoints may run on an endpoint thread with everything around them, and what keeps that right.

An exchange in the endpoint lane never touches the event loop: an endpoint thread drives the application's whole
coroutine. Only framework code and `def` functions may run there. `plan_lanes` proves at start-up, route by route, that
nothing else does; what it cannot prove goes to the event loop as ever. Nothing here imports a framework: one that the
application has not imported cannot be in its way.
"""

from bicorn.sync_endpoints.hooks import install_hooks
from bicorn.sync_endpoints.lanes import LanePlan, RouteLane, format_lanes
from bicorn.sync_endpoints.plan import plan_lanes
from bicorn.sync_endpoints.responses import needs_loop

__all__ = ["LanePlan", "RouteLane", "format_lanes", "install_hooks", "needs_loop", "plan_lanes"]

"""Every route that is proven to need no event loop, driven without one: the same answers as on a loop.

The requests are those of the differential tests, without a server; `lane_driver.py` stands for the endpoint threads.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from bicorn.sync_endpoints import plan_lanes
from tests.sync_endpoints.families import Case, Family, note
from tests.sync_endpoints.lane_driver import Exchange, LaneDriver
from tests.sync_endpoints.planning import find_route
from tests.sync_endpoints.test_differential_answers import FAMILIES

# These ask for the name of the thread, or for anyio's way back to the loop; both need the real endpoint threads.
SEE_THREADS = {"threads", "Starlette context"}
FAMILIES_DRIVEN = [family for family in FAMILIES if family.name not in SEE_THREADS]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> LaneDriver:
    return LaneDriver(monkeypatch)


def exchange_of(case: Case, kind: str, family: Family) -> Exchange:
    target = case.target if case.is_absolute else f"/{kind}{case.target}"
    headers = (*case.headers, ("host", "example.org"))
    if case.body is not None:
        headers += (("content-length", str(len(case.body))),)
    return Exchange(case.method, target, headers, (case.body or b"",), root_path=family.options.get("root_path", ""))


def observe(run: Any, app: Any, exchange: Exchange) -> tuple[object, ...]:
    note.clear()
    run(app, exchange)
    return *exchange.outcome(), note.take()


@pytest.mark.parametrize("is_content_late", [False, True])
@pytest.mark.parametrize("family", FAMILIES_DRIVEN, ids=str)
def test_lane_answers_as_the_loop(family: Family, driver: LaneDriver, is_content_late: bool) -> None:
    app = family.make_app()
    plan = plan_lanes(app)
    assert plan.why_not is None, plan.why_not
    for kind, case in family.requests():
        exchange, expected = exchange_of(case, kind, family), exchange_of(case, kind, family)
        route = find_route(plan, case.method, unquote(exchange.target.partition("?")[0]))
        if route is None or route.why_not is not None:
            continue
        if is_content_late:
            (content,) = exchange.pieces
            exchange.pieces, exchange.pieces_ready = (content[:7], content[7:]), 0
        seen = observe(driver.drive, app, exchange)
        assert seen == observe(driver.run_on_loop, app, expected), f"{kind} {case}"

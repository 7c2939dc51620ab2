"""Sentry: what a request reports has its own tags, user, breadcrumbs and trace; the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.serving import ServedProcess
from tests.suites.world_servers import serving

pytestmark = pytest.mark.parity

# So many requests the application holds inside its endpoints until all of them are there.
TOGETHER = 8
ROUNDS = 5
CASES = [
    ("app", "/sync/{}"),
    ("app", "/async/{}"),
    ("starlette_app", "/sync/{}"),
    ("starlette_app", "/async/{}"),
    ("asgi_app", "/any/{}"),
]


@pytest.fixture(scope="module", params=["app", "starlette_app", "asgi_app"])
def server(server_name: str, request: pytest.FixtureRequest) -> Iterator[ServedProcess]:
    with serving(f"sentry_app:{request.param}", server_name) as server:
        yield server


@pytest.fixture
def broken_server(server_name: str) -> Iterator[ServedProcess]:
    with serving("sentry_app:app", server_name, expected="ERROR|Traceback") as server:
        yield server


def ask_together(server: ServedProcess, path: str) -> dict[str, list[dict[str, Any]]]:
    """Send requests that are inside the application at the same time; return what it reports, by the name of each."""

    async def run() -> dict[str, list[dict[str, Any]]]:
        reports: dict[str, list[dict[str, Any]]] = {}
        # uvicorn closes a connection whose application raised, even if the client has begun the next request on it.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=server.url, timeout=20, limits=limits) as client:
            await client.get("/sent")

            async def ask(name: str) -> None:
                await client.get(path.format(name), headers={"sentry-trace": f"{name}-{'1' * 16}-1"})

            for _ in range(ROUNDS):
                names = [uuid.uuid4().hex for _ in range(TOGETHER)]
                reports |= {name: [] for name in names}
                await asyncio.gather(*(ask(name) for name in names))
            # A message or an error, and a transaction.
            while sum(len(reported) for reported in reports.values()) < 2 * len(reports):
                for report in (await client.get("/sent")).raise_for_status().json():
                    if not report["request"]["url"].endswith("/sent"):
                        reports[report["contexts"]["trace"]["trace_id"]].append(report)
        return reports

    return asyncio.run(run())


def check_reports(reports: dict[str, list[dict[str, Any]]], path: str, url: str) -> None:
    for name, reported in reports.items():
        assert sorted(report.get("type", "event") for report in reported) == ["event", "transaction"]
        for report in reported:
            assert report["tags"]["name"] == report["tags"].get("dependency", name) == name
            assert report["user"]["id"] == name
            assert report["request"]["url"] == url + path.format(name)
        (event,) = (report for report in reported if report.get("type") != "transaction")
        said = event.get("message") or event["exception"]["values"][0]["value"]
        assert said == f"message of {name}"
        own = [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "shop"]
        assert own == [f"begin {name}", *([f"finish {name}"] if "message" in event else [])]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_reports_are_of_their_request(server: ServedProcess, kind: str) -> None:
    check_reports(ask_together(server, f"/{kind}/{{}}"), f"/{kind}/{{}}", server.url)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_errors_are_of_their_request(broken_server: ServedProcess, kind: str) -> None:
    path = f"/{kind}/{{}}/broken"
    check_reports(ask_together(broken_server, path), path, broken_server.url)


def test_nothing_is_left_of_a_request_in_its_thread_or_task(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            paths = ["/left", "/left/async"] * 50
            responses = await asyncio.gather(*(client.get(path) for path in paths))
            assert [response.json() for response in responses] == [{"tags": {}, "user": None}] * 100

    ask_together(server, "/sync/{}")
    asyncio.run(run())

"""OpenTelemetry: each request has its own trace, in tasks and in threads; the same on uvicorn and bicorn."""

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
NOTHING = {"trace": "0" * 32, "span": "0" * 16, "baggage": "None"}


@pytest.fixture(scope="module")
def fastapi(server_name: str) -> Iterator[ServedProcess]:
    with serving("telemetry_app:app", server_name) as server:
        yield server


@pytest.fixture(scope="module")
def starlette(server_name: str) -> Iterator[ServedProcess]:
    with serving("telemetry_app:starlette_app", server_name) as server:
        yield server


def ask_together(server: ServedProcess, path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Send requests that are inside the application at the same time, each with a trace of its own.

    Returns:
        What each has answered, by its trace, and the spans that have ended by the time all their servers' spans have.
    """

    async def run() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        answers: dict[str, Any] = {}
        spans: list[dict[str, Any]] = []
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:

            async def ask(number: int) -> None:
                trace = uuid.uuid4().hex
                headers = {"traceparent": f"00-{trace}-{number + 1:016x}-01", "baggage": f"name={trace}"}
                answers[trace] = await client.get(f"/{path}/{trace}", headers=headers)

            for _ in range(ROUNDS):
                await asyncio.gather(*(ask(number) for number in range(TOGETHER)))
            while len([span for span in spans if span["kind"] == "SERVER"]) < ROUNDS * TOGETHER:
                spans += (await client.get("/spans")).json()
        return answers, spans

    return asyncio.run(run())


def check_spans(answers: dict[str, Any], spans: list[dict[str, Any]], names: list[str]) -> None:
    """Check that each trace has its own spans and no other: the server's below the client's, the others below that."""
    assert {span["trace"] for span in spans} == set(answers)
    for trace in answers:
        own = [span for span in spans if span["trace"] == trace]
        (root,) = [span for span in own if span["kind"] == "SERVER"]
        assert int(root["parent"], 16) <= TOGETHER
        inner = [span for span in own if span["kind"] == "INTERNAL" and not span["name"].startswith("GET ")]
        assert sorted(span["name"] for span in inner) == sorted(name.format(trace) for name in names)
        assert {span["parent"] for span in inner} <= {root["span"]}


@pytest.mark.parametrize(
    ("path", "dependencies"), [("sync", ["async dependency"]), ("plain", []), ("async", ["sync dependency"])]
)
def test_fastapi_spans_are_of_their_request(fastapi: ServedProcess, path: str, dependencies: list[str]) -> None:
    answers, spans = ask_together(fastapi, path)
    check_spans(answers, spans, [*dependencies, "work for {}"])
    for trace, response in answers.items():
        for seen in response.json():
            assert (seen["trace"], seen["baggage"]) == (trace, trace)
        assert response.json()[-2] == response.json()[-1]


def test_fastapi_streams_keep_their_trace(fastapi: ServedProcess) -> None:
    answers, spans = ask_together(fastapi, "stream")
    check_spans(answers, spans, ["work for {}"] * 3)
    assert {trace: response.text.split() for trace, response in answers.items()} == {t: [t] * 3 for t in answers}


@pytest.mark.parametrize("path", ["async", "plain"])
def test_starlette_spans_are_of_their_request(starlette: ServedProcess, path: str) -> None:
    answers, spans = ask_together(starlette, path)
    check_spans(answers, spans, [])
    for trace, response in answers.items():
        before, after = response.json()
        assert before == after
        assert (before["trace"], before["baggage"]) == (trace, trace)


def test_nothing_is_left_of_a_request_in_its_thread_or_task(fastapi: ServedProcess, starlette: ServedProcess) -> None:
    async def ask(server: ServedProcess, *paths: str) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            responses = await asyncio.gather(*(client.get(path) for path in paths for _ in range(50)))
            assert [response.json() for response in responses] == [NOTHING] * 50 * len(paths)

    ask_together(fastapi, "plain")
    asyncio.run(ask(fastapi, "/outside", "/outside/async"))
    ask_together(starlette, "plain")
    asyncio.run(ask(starlette, "/outside"))

"""sse-starlette: streams that end by themselves, with their client and with the server; on uvicorn and bicorn."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.serving import ServedProcess
from tests.suites.world_servers import ONE_OR_TWO_WORKERS, read_log, serving

pytestmark = pytest.mark.parity


@pytest.fixture
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("sse_app:app", server_name, farewell="no more events") as server:
        yield server


def read_events(url: str) -> list[list[str]]:
    response = httpx.get(url)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    return [event.splitlines() for event in response.text.replace("\r\n", "\n").strip().split("\n\n")]


def test_streams_with_an_end(server: ServedProcess) -> None:
    expected = [[f"id: {number}", "event: number", f'data: {{"number":{number}}}'] for number in range(5)]
    assert read_events(f"{server.url}/numbers") == expected
    expected = [[f"id: {number}", "event: number", f"data: {number}"] for number in range(5)]
    assert read_events(f"{server.url}/numbers/sync") == expected


def test_pings_keep_a_silent_stream_open(server: ServedProcess) -> None:
    with httpx.stream("GET", f"{server.url}/silent") as response:
        pings = [line for line, _ in zip(response.iter_lines(), range(6), strict=False) if line]
    assert len(pings) == 3
    assert all(ping.startswith(": ping - ") for ping in pings)


def test_a_stream_ends_when_its_client_leaves(server: ServedProcess) -> None:
    with httpx.stream("GET", f"{server.url}/endless") as response:
        assert next(response.iter_lines()) == "data: tick"
    assert server.stdout is not None
    server.stdout.wait_for("the endless stream is over")
    assert "closed by http.disconnect" in httpx.get(f"{server.url}/journal").json()


@pytest.mark.parametrize("options", ONE_OR_TWO_WORKERS, ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_streams_end_when_the_server_does(server_name: str, number: signal.Signals, options: tuple[str, ...]) -> None:
    # Where no grace period is given, sse-starlette cancels a stream: its body has no end.
    expectations = {"farewell": "no more events", "expected": "returned without completing response"}
    with serving("sse_app:app", server_name, *options, **expectations, ended_by=number) as server:
        with (
            httpx.stream("GET", f"{server.url}/endless", timeout=10) as endless,
            httpx.stream("GET", f"{server.url}/polite", timeout=10) as polite,
        ):
            first, last = endless.iter_lines(), polite.iter_lines()
            assert (next(first), next(last)) == ("data: tick", "data: hello")
            server.signal(number)
            assert [line for line in last if line.startswith("data")] == ["data: goodbye"]
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                assert {line for line in first if line} == {"data: tick"}
        server.wait()
        assert "the endless stream is over" in read_log(server)

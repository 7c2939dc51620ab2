"""Quart: sessions, uploads, streams, events, WebSockets; the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from tests.serving import ServedProcess
from tests.suites.world_servers import WORLD, read_journal, serving

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("quart_app:app", server_name, farewell="quart is closed") as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        client.get("/journal")
        yield client


def test_handlers_sessions_and_static_files(client: httpx.Client) -> None:
    assert client.get("/hello/a%20b?x=1&x=2").json() == {"hello": "a b", "query": {"x": ["1", "2"]}}
    assert [client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert client.get("/static/style.css").content == Path(WORLD, "static", "style.css").read_bytes()
    refused = client.get("/forbidden")
    assert refused.status_code == 403
    assert "not for you" in refused.text


def test_sync_handlers_keep_their_request(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            responses = await asyncio.gather(*(client.get(f"/sync/{n}", params={"x": n}) for n in range(50)))
            assert [response.text for response in responses] == [f"hello {n} {n}" for n in range(50)]

    asyncio.run(run())


def test_uploads_and_streams(client: httpx.Client) -> None:
    response = client.post("/upload", data={"note": "ü"}, files={"file": ("a", b"x" * 1_000_000)})
    assert response.json() == {"files": {"file": 1_000_000}, "fields": {"note": "ü"}}
    assert client.post("/size", content=iter([b"x" * 100_000] * 3)).json() == {"size": 300_000}
    assert client.get("/stream").text.split() == [str(number) for number in range(100)]


def test_background_task(client: httpx.Client) -> None:
    assert client.post("/mail/ada").status_code == 202
    assert read_journal(client, "mail to ada") == ["mail to ada"]


def test_events_end_when_their_reader_leaves(client: httpx.Client, server: ServedProcess) -> None:
    with httpx.stream("GET", f"{server.url}/events") as response:
        assert next(response.iter_lines()) == "event: tick"
    assert read_journal(client, "the events ended") == ["the events ended"]


def test_websockets(client: httpx.Client, server: ServedProcess) -> None:
    address = server.url.replace("http", "ws")

    async def talk() -> None:
        async with connect(f"{address}/echo", subprotocols=["echo"]) as echo:
            assert echo.subprotocol == "echo"
            for message in ("text", b"x" * 100_000):
                await echo.send(message)
                assert await echo.recv() == message
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(f"{address}/refused")
        assert (refused.value.response.status_code, refused.value.response.body) == (401, b"no entry")

    asyncio.run(talk())
    assert read_journal(client, "echo cancelled") == ["echo cancelled"]

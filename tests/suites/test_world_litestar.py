"""Litestar: controllers, dependencies, threads, streams, WebSockets; the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
import json
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
    with serving("litestar_app:app", server_name, farewell="the library is closed") as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        client.get("/journal")
        yield client


def test_controller_dependencies_and_dto(client: httpx.Client) -> None:
    response = client.post("/books", json={"title": "dune", "pages": 412})
    assert (response.status_code, response.json()) == (201, {"title": "dune", "pages": 412})
    assert read_journal(client, "shelf returned") == ["shelf taken", "shelf returned"]
    assert client.get("/books/dune").json() == {"title": "dune", "pages": 412}
    assert client.delete("/books/dune").status_code == 204
    missing = client.get("/books/dune")
    assert (missing.status_code, missing.json()["detail"]) == (404, "no book called dune")
    assert client.post("/books", json={"title": "dune", "pages": "many"}).status_code == 400


def test_upload_and_background_task(client: httpx.Client) -> None:
    response = client.post("/upload", files={"data": ("a.bin", b"x" * 2_000_000)})
    assert response.json() == {"name": "a.bin", "size": 2_000_000}
    assert client.get("/mail/ada").text == "on its way"
    assert read_journal(client, "mail to ada") == ["mail to ada"]


def test_streams_events_files_and_compression(client: httpx.Client) -> None:
    assert client.get("/stream").text.split() == [str(number) for number in range(100)]
    events = client.get("/events").text.replace("\r\n", "\n").strip().split("\n\n")
    assert [sorted(event.split("\n")) for event in events] == [
        [f"data: {number}", "event: tick", f"id: {number}"] for number in range(3)
    ]
    assert client.get("/source").content == Path(WORLD, "litestar_app.py").read_bytes()
    response = client.get("/long")
    assert (response.headers["content-encoding"], response.text) == ("gzip", "all the same " * 10_000)


def test_repeated_headers_and_documentation(client: httpx.Client) -> None:
    response = client.get("/echo-header", headers=[("x-many", "1"), ("x-many", "2")])
    assert response.json() == {"values": ["1", "2"]}
    assert "/books/{title}" in client.get("/schema/openapi.json").json()["paths"]


def test_websockets(server: ServedProcess) -> None:
    address = server.url.replace("http", "ws")

    async def talk() -> None:
        async with connect(f"{address}/upper") as upper:
            await upper.send("straße")
            assert await upper.recv() == "STRASSE"
        async with connect(f"{address}/sum") as adding:
            await adding.send(json.dumps([1, 2]))
            assert json.loads(await adding.recv()) == {"sum": 3}
            await adding.send("null")
            with pytest.raises(websockets.ConnectionClosed):
                await adding.recv()
            assert (adding.close_code, adding.close_reason) == (4004, "enough")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(f"{address}/nowhere")
        assert refused.value.response.status_code in (403, 404)

    asyncio.run(talk())

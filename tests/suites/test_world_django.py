"""Django with sync and async views, and Channels: the same on uvicorn and bicorn."""

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
from tests.suites.world_servers import WORLD, serving

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def server(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    environment = {"SITE_FOLDER": str(tmp_path_factory.mktemp("site"))}
    with serving("django_site:application", server_name, environment=environment) as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def test_sync_and_async_views(client: httpx.Client) -> None:
    assert client.get("/hello/w%C3%B6rld").text == "hello wörld from 127.0.0.1"
    response = client.get("/hello/async/a?x=1&x=2")
    assert response.json() == {"hello": "a", "query": {"x": ["1", "2"]}}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert client.get("/nothing").status_code == 404
    assert client.head("/hello/a").content == b""


def test_sessions_and_the_database(client: httpx.Client) -> None:
    assert [client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    before = client.get("/people").json()["names"]
    assert client.post("/people", json={"name": "ada"}).json()["names"] == sorted([*before, "ada"])


def test_uploads_in_memory_and_in_a_file(client: httpx.Client) -> None:
    parts = [("files", ("small", b"x")), ("files", ("large", b"y" * 500_000))]
    response = client.post("/upload", data={"note": "ü"}, files=parts)
    assert response.json() == {"files": {"files": [1, 500_000]}, "fields": {"note": "ü"}}


def test_locals_are_of_one_request(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            responses = await asyncio.gather(*(client.get("/local", params={"name": n}) for n in range(50)))
            assert [response.text for response in responses] == [f"nothing {number}" for number in range(50)]

    asyncio.run(run())


def test_streams_and_files(client: httpx.Client) -> None:
    lines = [str(number) for number in range(100)]
    assert client.get("/stream/async").text.splitlines() == lines
    assert client.get("/source").content == Path(WORLD, "django_site.py").read_bytes()


def test_a_stream_is_cancelled_when_its_reader_leaves(client: httpx.Client, server: ServedProcess) -> None:
    with httpx.stream("GET", f"{server.url}/endless") as response:
        assert next(response.iter_lines()) == "tick"
    assert client.get("/endless/left").text == "left"


def test_channels(server: ServedProcess) -> None:
    address = server.url.replace("http", "ws")

    async def talk() -> None:
        async with connect(f"{address}/chat") as one, connect(f"{address}/chat") as two:
            for socket in (one, two):
                assert json.loads(await socket.recv()) == {"user": "AnonymousUser"}
            await two.send(json.dumps({"text": "hello"}))
            assert [json.loads(await socket.recv()) for socket in (one, two)] == [{"text": "hello"}] * 2
        async with connect(f"{address}/echo") as echo:
            for message in ("text", b"\x00" * 100_000):
                await echo.send(message)
                assert await echo.recv() == message
            await echo.send("close")
            with pytest.raises(websockets.ConnectionClosed):
                await echo.recv()
            assert echo.close_code == 4003

    asyncio.run(talk())


def test_a_sync_iterator_is_read_with_django_s_warning(server_name: str, tmp_path: Path) -> None:
    environment = {"SITE_FOLDER": str(tmp_path)}
    with serving("django_site:application", server_name, environment=environment, expected="Warning: Str") as server:
        assert len(httpx.get(f"{server.url}/stream/sync").text.splitlines()) == 100

"""Starlette: BaseHTTPMiddleware, gzip, sessions, static files, endpoints as classes; the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.serving import ServedProcess
from tests.suites.world_servers import WORLD, read_journal, serving

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("starlette_app:app", server_name, farewell="the lights are off") as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        client.get("/journal")
        yield client


@pytest.mark.parametrize("path", ["/who", "/who/sync"])
def test_context_set_in_middleware_is_that_of_the_request(server: ServedProcess, path: str) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            names = [f"tenant {number}" for number in range(60)]
            responses = await asyncio.gather(*(client.get(path, headers={"x-tenant": name}) for name in names))
            assert [response.text for response in responses] == names
            assert {response.headers["x-seen-by"] for response in responses} == {"dispatch"}
            assert (await client.get(path)).text == "nobody"

    asyncio.run(run())


def test_sessions(client: httpx.Client) -> None:
    assert [client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    client.get("/leave")
    assert client.get("/visits").json() == {"visits": 1}
    client.cookies.clear()
    assert client.get("/visits", headers={"cookie": "session=forged"}).json() == {"visits": 1}


@pytest.mark.parametrize("path", ["/long", "/long/stream"])
def test_gzip(client: httpx.Client, path: str) -> None:
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = client.get(path, headers={"accept-encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.text) == ("gzip", plain.text)
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.num_bytes_downloaded < len(plain.content) / 10


def test_static_files(client: httpx.Client) -> None:
    content = Path(WORLD, "static", "style.css").read_bytes()
    response = client.get("/static/style.css")
    assert response.content == content
    assert response.headers["content-type"].startswith("text/css")
    again = client.get("/static/style.css", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head("/static/style.css")
    assert (head.headers["content-length"], head.content) == (str(len(content)), b"")
    assert client.get("/static/style.css", headers={"range": "bytes=-5"}).content == content[-5:]
    assert "<title>Starlette</title>" in client.get("/static/").text
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/static/%2e%2e/starlette_app.py").status_code == 404


def test_errors_methods_and_paths(client: httpx.Client) -> None:
    response = client.get("/teapot")
    assert (response.status_code, response.text, response.headers["x-pot"]) == (418, "short and stout", "tea")
    assert client.get("/nowhere").json() == {"missing": "/nowhere"}
    expected = {"thing": "a/ü b", "query": [["x", "1"], ["x", "+"]]}
    assert client.get("/things/a/%C3%BC%20b?x=1&x=%2B").json() == expected
    assert client.delete("/things/a").status_code == 204
    assert client.post("/things/a").status_code == 405


def test_background_task(client: httpx.Client) -> None:
    assert client.post("/later").status_code == 202
    assert read_journal(client, "done later") == ["done later"]


def test_bodies_of_both_kinds(client: httpx.Client) -> None:
    assert client.post("/size", content=b"x" * 300_000).json() == {"size": 300_000}
    assert client.post("/size", content=iter([b"x" * 100_000] * 3)).json() == {"size": 300_000}


def test_a_client_that_leaves_while_it_sends(client: httpx.Client, server: ServedProcess) -> None:
    with server.connect() as leaving:
        leaving.send(b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert read_journal(client, "the client left while it sent") == ["the client left while it sent"]


def test_websocket_endpoints(client: httpx.Client, server: ServedProcess) -> None:
    address = server.url.replace("http", "ws")

    async def talk() -> None:
        async with connect(f"{address}/echo") as echo:
            assert echo.response is not None
            assert echo.response.headers["x-accepted"] == "yes"
            for message in (b"", b"x" * 200_000):
                await echo.send(message)
                assert await echo.recv() == message
            await echo.close(4002)
        async with connect(f"{address}/sum") as adding:
            await adding.send(json.dumps([1, 2, 3]))
            assert json.loads(await adding.recv()) == {"sum": 6}

    asyncio.run(talk())
    assert read_journal(client, "echo closed with 4002") == ["echo closed with 4002"]

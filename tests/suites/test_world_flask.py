"""Flask by `--interface wsgi`, with many requests at once: the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import ServedProcess
from tests.suites.world_servers import WORLD, serving

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("flask_app:app", server_name, "--interface", "wsgi") as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def test_requests_sessions_and_errors(client: httpx.Client) -> None:
    response = client.get("/hello/w%C3%B6rld?x=1&x=2", headers={"x-agent": "me"})
    assert response.json() == {"hello": "wörld", "query": {"x": ["1", "2"]}, "agent": "me"}
    assert [client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    refused = client.get("/forbidden")
    assert refused.status_code == 403
    assert "not for you" in refused.text
    assert client.get("/environment?a=%20b").json() == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environment",
        "QUERY_STRING": "a=%20b",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "address": "127.0.0.1",
    }


def test_uploads_and_streams(client: httpx.Client) -> None:
    response = client.post("/upload", data={"note": "ü"}, files={"file": ("a", b"x" * 1_000_000)})
    assert response.json() == {"files": {"file": 1_000_000}, "fields": {"note": "ü"}}
    assert client.post("/size", content=b"x" * 300_000).json() == {"size": 300_000}
    lines = client.get("/stream?name=ada").text.splitlines()
    assert lines == [f"ada {number}" for number in range(100)]


def test_files(client: httpx.Client) -> None:
    assert client.get("/source").content == Path(WORLD, "flask_app.py").read_bytes()
    style = client.get("/static/style.css")
    assert style.content == Path(WORLD, "static", "style.css").read_bytes()
    assert client.get("/static/style.css", headers={"if-none-match": style.headers["etag"]}).status_code == 304


def test_requests_run_side_by_side_with_a_context_each(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            # Four of them wait for each other, in threads of the server.
            names = [f"name {number}" for number in range(40)]
            responses = await asyncio.gather(*(client.get("/meet", params={"name": name}) for name in names))
            assert [response.text for response in responses] == names

    asyncio.run(run())

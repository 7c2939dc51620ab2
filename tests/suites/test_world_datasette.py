"""Datasette, which serves SQLite files: the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator

import httpx
import pytest

from tests.serving import ServedProcess
from tests.suites.world_servers import ONE_OR_TWO_WORKERS, serving

pytestmark = pytest.mark.parity
ROWS = 2500


@pytest.fixture(scope="module", params=ONE_OR_TWO_WORKERS, ids=" ".join)
def server(
    server_name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProcess]:
    environment = {"SITE_FOLDER": str(tmp_path_factory.mktemp("site"))}
    with serving("datasette_app:app", server_name, *request.param, environment=environment) as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def test_pages_and_static_files(client: httpx.Client) -> None:
    assert "library" in client.get("/").text
    assert "word 7" in client.get("/library/words").text
    response = client.get("/-/static/app.css")
    assert response.headers["content-type"].startswith("text/css")
    assert len(response.content) > 1000


def test_tables_and_queries_as_json(client: httpx.Client) -> None:
    table = client.get("/library/words.json", params={"_shape": "array", "length__exact": 6}).json()
    assert [row["word"] for row in table] == [f"word {number}" for number in range(10)]
    query = {"sql": "select count(*) as number from words", "_shape": "array"}
    assert client.get("/library.json", params=query).json() == [{"number": ROWS}]


def test_a_table_is_streamed_as_csv(client: httpx.Client) -> None:
    with client.stream("GET", "/library/words.csv", params={"_stream": "on"}) as response:
        rows = list(csv.reader(response.iter_lines()))
    assert rows[0] == ["id", "word", "length"]
    assert [row[1] for row in rows[1:]] == [f"word {number}" for number in range(ROWS)]


def test_queries_at_once(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            queries = ({"sql": f"select {number} * 2 as twice", "_shape": "array"} for number in range(30))
            responses = await asyncio.gather(*(client.get("/library.json", params=query) for query in queries))
            assert [response.json() for response in responses] == [[{"twice": 2 * number}] for number in range(30)]

    asyncio.run(run())

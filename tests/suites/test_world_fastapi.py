"""FastAPI with all that an application has: the same on uvicorn and bicorn, with one worker and with two."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from tests.serving import ServedProcess
from tests.suites.world_servers import WORLD, read_journal, read_log, serving

pytestmark = pytest.mark.parity

BIG = bytes(range(256)) * 16 * 1024


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("fastapi_app:app", server_name, farewell="the shop is closed") as server:
        yield server


@pytest.fixture
def client(server: ServedProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        client.get("/journal")
        yield client


def test_dependencies_with_yield_end_after_the_endpoint(client: httpx.Client) -> None:
    created = client.post("/items", json={"name": "lamp", "price": 9.5, "tags": ["light", "new"]})
    assert created.status_code == 201
    assert read_journal(client, "commit") == ["begin", "commit"]
    item = created.json()
    assert client.get(f"/items/{item['id']}").json() == item
    assert read_journal(client, "commit") == ["begin", "commit"]
    assert item in client.get("/items/", params={"tag": ["new", "light"], "limit": 100}).json()
    assert client.get("/items/", params={"tag": "old"}).json() == []


def test_dependencies_with_yield_see_what_the_endpoint_raised(client: httpx.Client) -> None:
    missing = client.get("/items/4000")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Item not found"})
    assert read_journal(client, "rollback") == ["begin", "rollback"]
    response = client.post("/items/lamp/order")
    assert (response.status_code, response.json()) == (409, {"out_of_stock": "lamp"})
    assert read_journal(client, "rollback") == ["begin", "rollback"]


def test_what_is_not_valid_is_422(client: httpx.Client) -> None:
    response = client.post("/items", json={"name": "", "price": -1})
    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [["body", "name"], ["body", "price"]]
    assert client.post("/items", content=b"{", headers={"content-type": "application/json"}).status_code == 422


def test_login_cookies_and_repeated_headers(client: httpx.Client) -> None:
    assert client.get("/me").headers["www-authenticate"] == "Bearer"
    token = client.post("/token", data={"username": "ada", "password": "secret"}).json()["access_token"]
    headers = [("authorization", f"Bearer {token}"), ("x-tags", "a"), ("x-tags", "b")]
    assert client.get("/me", headers=headers).json() == {"user": "ada", "visits": 0, "tags": ["a", "b"]}
    assert client.get("/me", headers=headers).json()["visits"] == 1


def test_uploads(client: httpx.Client) -> None:
    parts = [("files", ("one.bin", BIG)), ("files", ("two.txt", b"two"))]
    response = client.post("/files", data={"note": "ünï"}, files=parts)
    expected = {"one.bin": hashlib.sha256(BIG).hexdigest(), "two.txt": hashlib.sha256(b"two").hexdigest()}
    assert response.json() == {"note": "ünï", "files": expected}
    response = client.post("/file", files={"file": ("a.png", BIG[:100_000], "image/png")})
    assert response.json() == {"size": 100_000, "type": "image/png"}


def test_request_and_response_streams(client: httpx.Client) -> None:
    response = client.put("/raw", content=(BIG[start : start + 100_000] for start in range(0, len(BIG), 100_000)))
    assert response.json() == {"size": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}
    for kind in ("async", "sync"):
        with client.stream("GET", f"/stream/{kind}", params={"count": 300}) as response:
            assert list(response.iter_lines()) == [str(number) for number in range(300)]


def test_files_with_ranges(client: httpx.Client) -> None:
    content = Path(WORLD, "fastapi_app.py").read_bytes()
    response = client.get("/source")
    assert response.content == content
    assert response.headers["content-disposition"] == 'attachment; filename="shop.py"'
    response = client.get("/source", headers={"range": "bytes=10-19"})
    assert (response.status_code, response.content) == (206, content[10:20])
    assert client.head("/source").status_code == 405


def test_background_tasks_run_after_the_response(client: httpx.Client) -> None:
    assert client.post("/notify/ada@example.org").json() == {"message": "on its way"}
    entries = ["mail to ada@example.org", "async mail to ada@example.org"]
    assert read_journal(client, entries[-1]) == entries


def test_server_sent_events(client: httpx.Client) -> None:
    response = client.get("/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    first = response.text.replace("\r\n", "\n").split("\n\n")[0].splitlines()
    assert sorted(first) == ['data: {"number": 0}', "event: tick", "id: 0"]
    lines = client.get("/events/sync", params={"count": 4}).text.splitlines()
    names = [json.loads(line.removeprefix("data: "))["name"] for line in lines if line.startswith("data: ")]
    assert names == [f"item {number}" for number in range(4)]


def test_a_stream_ends_when_its_reader_leaves(client: httpx.Client, server: ServedProcess) -> None:
    with httpx.stream("GET", f"{server.url}/endless") as response:
        assert next(response.iter_lines()) == "tick"
    assert read_journal(client, "the endless stream ended") == ["the endless stream ended"]


def test_redirects_and_cors(client: httpx.Client) -> None:
    response = client.get("/old")
    assert (response.status_code, response.headers["location"]) == (307, "/items/")
    origin = {"origin": "https://shop.example"}
    assert client.get("/me", headers=origin).headers["access-control-allow-origin"] == "https://shop.example"
    asked = client.options("/items", headers={**origin, "access-control-request-method": "POST"})
    assert (asked.status_code, asked.text) == (200, "OK")


def test_documentation_and_mounted_applications(client: httpx.Client, server: ServedProcess) -> None:
    assert "swagger-ui" in client.get("/docs").text
    description = client.get("/openapi.json").json()
    assert (description["info"]["title"], description["info"]["version"]) == ("Shop", "1.2.3")
    assert {"/items", "/items/{item_id}", "/files", "/events"} <= set(description["paths"])
    response = client.get("/admin/where")
    assert float(response.headers["x-process-time"]) >= 0
    assert response.json() == {"root_path": "/admin", "url": f"{server.url}/admin/where"}
    assert client.get("/admin/openapi.json").json()["servers"] == [{"url": "/admin"}]


def test_chat(server: ServedProcess) -> None:
    address = server.url.replace("http", "ws") + "/chat"

    async def talk() -> None:
        async with connect(f"{address}?name=ada", subprotocols=["other", "chat"]) as ada:
            assert ada.subprotocol == "chat"
            async with connect(f"{address}?name=bob") as bob:
                await bob.send("hello")
                assert [await ada.recv(), await bob.recv()] == ["bob: hello"] * 2
                await bob.close(4001)
            assert await ada.recv() == "bob left with 4001"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(address)
        assert refused.value.response.status_code == 403

    asyncio.run(talk())


def test_many_clients_at_once(server: ServedProcess) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            paths = [f"/stream/{kind}?count={count}" for kind in ("async", "sync") for count in range(1, 40)]
            responses = await asyncio.gather(*(client.get(path) for path in paths))
            for path, response in zip(paths, responses, strict=True):
                assert len(response.text.splitlines()) == int(path.partition("=")[2]), path

    asyncio.run(run())


def test_two_workers_share_the_connections(server_name: str) -> None:
    farewell = "the shop is closed"
    with serving("fastapi_app:app", server_name, "--workers", "2", farewell=farewell) as server:
        processes: set[int] = set()
        while len(processes) < 2:
            with httpx.Client(base_url=server.url, timeout=10) as client:
                numbers = {client.get("/process").json() for _ in range(3)}
                assert len(numbers) == 1
                processes |= numbers
        assert server.pid not in processes
    assert read_log(server).count(farewell) == 2


def test_a_fault_is_500_and_a_traceback(server_name: str) -> None:
    expected = "ERROR|Traceback"
    with serving("fastapi_app:app", server_name, farewell="the shop is closed", expected=expected) as server:
        response = httpx.get(f"{server.url}/broken")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        assert server.stderr is not None
        log = server.stderr.wait_for("RuntimeError: a fault of the application").string
        assert log.count("ERROR:    Exception in ASGI application\n") == 1

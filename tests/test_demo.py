"""The demo of `examples/`, served the way `make run` does it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ServeProcess
from tests.serving import REPOSITORY

FILE = b"a line of hay\n" * 20_000


@pytest.fixture
def demo(serve_process: ServeProcess, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a fresh demo."""
    environment = {"DEMO_DATABASE": str(tmp_path / "demo.sqlite3")}
    with (
        serve_process("demo:app", cwd=REPOSITORY / "examples", environment=environment) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield client


def test_note_is_created_found_and_deleted(demo: httpx.Client) -> None:
    created = demo.post("/notes", json={"text": "buy some hay", "tags": ["home"]})
    assert created.status_code == 201
    assert created.json() == {"id": 1, "text": "buy some hay", "tags": ["home"], "words": None}

    # The response is sent before the background task runs: ask until it has.
    while (note := demo.get("/notes/1").json())["words"] is None:
        pass
    assert note == {"id": 1, "text": "buy some hay", "tags": ["home"], "words": 3}
    assert [note["id"] for note in demo.get("/notes", params={"tag": "home"}).json()] == [1]
    assert demo.get("/notes", params={"tag": "work"}).json() == []

    assert demo.delete("/notes/1").status_code == 204
    missing = demo.get("/notes/1")
    assert (missing.status_code, missing.json()) == (404, {"detail": "there is no note 1"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/notes/x", None), ("GET", "/notes?limit=0", None), ("POST", "/notes", {"text": ""})],
)
def test_invalid_input_is_422(demo: httpx.Client, method: str, path: str, body: object) -> None:
    assert demo.request(method, path, json=body).status_code == 422


def test_multipart_upload_is_received_whole(demo: httpx.Client) -> None:
    answer = demo.post("/uploads", files={"file": ("hay.txt", FILE)}).json()
    assert answer == {"name": "hay.txt", "bytes": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}


def test_raw_upload_in_chunks_is_received_whole(demo: httpx.Client) -> None:
    chunks = (FILE[start : start + 10_000] for start in range(0, len(FILE), 10_000))
    answer = demo.put("/uploads/hay", content=chunks).json()
    assert answer == {"name": "hay", "bytes": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}


def test_download_has_its_length(demo: httpx.Client) -> None:
    answer = demo.get("/downloads/2")
    assert answer.headers["content-length"] == str(2 * 1024**2)
    assert answer.content == bytes(2 * 1024**2)


def test_csv_export_streams_every_note(demo: httpx.Client) -> None:
    for number in range(3):
        demo.post("/notes", json={"text": f"note {number}"})
    answer = demo.get("/notes.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="notes.csv"'
    assert answer.text.splitlines() == ["id,text,tags", "1,note 0,", "2,note 1,", "3,note 2,"]


def test_events_arrive_one_by_one(demo: httpx.Client) -> None:
    # An hour between events: the first can only arrive if it is not held back for the second.
    with demo.stream("GET", "/ticks", params={"count": 2, "seconds": 3600}) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert next(answer.iter_text()) == "id: 1\ndata: tick 1 of 2\n\n"


def test_broken_endpoint_is_500_and_the_server_goes_on(demo: httpx.Client) -> None:
    # The server closes the connection of an app that raised, which the client may see only when it sends again.
    assert demo.get("/broken", headers={"connection": "close"}).status_code == 500
    assert demo.get("/").status_code == 200

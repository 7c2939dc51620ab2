"""What happens on a connection while `def` endpoints run: the same bytes and notes as on uvicorn, in every mode.

A talk has a connection and returns what it received. What depends on when the server notices that a client has left
(whether there is an access record) is not compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests import raw
from tests.sync_endpoints import apps_connections
from tests.sync_endpoints.apps_connections import BIG_BYTES, FAMILY, gates
from tests.sync_endpoints.apps_forms import BOUNDARY, part
from tests.sync_endpoints.families import KINDS, note
from tests.sync_endpoints.observation import Observation, Stages, assert_same

Talk = Callable[[raw.Client, str], bytes]

# Long enough for receive() to find nothing and wait, on any machine that is not stuck.
PAUSE_SECONDS = 0.02
CLOSE = ("Connection", "close")
BYTES = ("Content-Type", "application/octet-stream")
MIB = bytes(range(256)) * 4 * 1024


def get(kind: str, target: str, *headers: tuple[str, str], method: str = "GET", version: str = "1.1") -> bytes:
    return raw.request(method, f"/{kind}{target}", headers, version=version)


def post(kind: str, target: str, body: bytes, *headers: tuple[str, str]) -> bytes:
    return raw.request("POST", f"/{kind}{target}", headers, body)


def multipart(data: bytes) -> tuple[bytes, tuple[str, str]]:
    body = part("upload", data, "x.bin") + part("word", b"said") + f"--{BOUNDARY}--\r\n".encode()
    return body, ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")


def send_in_pieces(client: raw.Client, data: bytes, size: int) -> None:
    """Send with a pause between pieces: time itself is under test, for receive() has to wait."""
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
        time.sleep(PAUSE_SECONDS)


def upload_with_pauses(client: raw.Client, kind: str) -> bytes:
    send_in_pieces(client, post(kind, "/bytes", MIB, BYTES, CLOSE), 300_000)
    return client.read_until_closed()


def form_upload_with_pauses(client: raw.Client, kind: str) -> bytes:
    body, content_type = multipart(MIB)
    send_in_pieces(client, post(kind, "/upload", body, content_type, CLOSE), 300_000)
    return client.read_until_closed()


def head_then_body(client: raw.Client, kind: str) -> bytes:
    data = post(kind, "/bytes", b"body", BYTES, CLOSE)
    send_in_pieces(client, data, len(data) - 4)
    return client.read_until_closed()


def head_in_pieces(client: raw.Client, kind: str) -> bytes:
    send_in_pieces(client, get(kind, "/hello", CLOSE), 20)
    return client.read_until_closed()


def chunked_upload_with_pauses(client: raw.Client, kind: str) -> bytes:
    pieces = [b"one", b"x" * 70_000, b"three"]
    data = raw.request("POST", f"/{kind}/bytes", (BYTES, CLOSE), chunks=pieces)
    send_in_pieces(client, data, 30_000)
    return client.read_until_closed()


def expect_continue(client: raw.Client, kind: str) -> bytes:
    data = post(kind, "/bytes", b"x" * 1_000, BYTES, ("Expect", "100-continue"), CLOSE)
    client.send(data[:-1_000])
    interim = client.response()
    assert interim.status == 100
    client.send(data[-1_000:])
    return client.read_until_closed()


def expect_continue_in_vain(client: raw.Client, kind: str) -> bytes:
    client.send(post(kind, "/ignores", b"x" * 10, BYTES, ("Expect", "100-continue"), CLOSE))
    return client.read_until_closed()


def pipelined(client: raw.Client, kind: str) -> bytes:
    other = KINDS[1 - KINDS.index(kind)]
    words = [get(one, f"/hello?word={number}") for number in range(5) for one in (kind, other)]
    bodies = [post(one, "/bytes", b"x" * number, BYTES) for number in (1, 100) for one in (kind, other)]
    client.send(b"".join([*words, *bodies, get(kind, "/nowhere"), get(kind, "/hello", CLOSE)]))
    return client.read_until_closed()


def pipelined_behind_a_slow_one(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/held/pipelined") + get(kind, "/hello?word=second") + get("async", "/hello", CLOSE))
    note.wait_for("waiting pipelined")
    gates.get("pipelined").set()
    return client.read_until_closed()


def keep_alive(client: raw.Client, kind: str) -> bytes:
    seen = []
    for number in range(20):
        response = client.exchange(get(kind, f"/hello?word={number}", method="GET"))
        seen.append(response.body)
        response = client.exchange(post("async", "/bytes", b"x" * number, BYTES))
        seen.append(response.body)
    client.send(get(kind, "/hello", CLOSE))
    return b"\n".join([*seen, client.read_until_closed()])


def body_that_nobody_reads(client: raw.Client, kind: str) -> bytes:
    client.send(post(kind, "/ignores", b"x" * 100) + post(kind, "/ignores", b"x" * 100_000))
    bodies = [client.response().body for _ in range(2)]
    client.send(get(kind, "/hello", CLOSE))
    return b"\n".join([*bodies, client.read_until_closed()])


def http10(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/hello", version="1.0"))
    return client.read_until_closed()


def http10_stream(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/big", version="1.0"))
    return client.read_until_closed()


def head_requests(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/hello", method="HEAD") + get(kind, "/hello", CLOSE, method="OPTIONS"))
    return client.read_until_closed()


def slow_reader(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/big", CLOSE))
    head = client.until(b"\r\n\r\n")
    # The socket's buffers are full by then, and send() may wait.
    time.sleep(PAUSE_SECONDS)
    body = client.read_until_closed()
    assert len(body) == BIG_BYTES
    return head + apps_connections.digest(body).encode()


ANSWERED: dict[Talk, int] = {
    upload_with_pauses: 1,
    form_upload_with_pauses: 1,
    head_then_body: 1,
    head_in_pieces: 1,
    chunked_upload_with_pauses: 1,
    expect_continue: 1,
    expect_continue_in_vain: 1,
    pipelined: 16,
    pipelined_behind_a_slow_one: 3,
    keep_alive: 41,
    body_that_nobody_reads: 3,
    http10: 1,
    http10_stream: 1,
    head_requests: 2,
    slow_reader: 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("talk", ANSWERED, ids=lambda talk: talk.__name__)
def test_talk_is_that_with_uvicorn(talk: Talk, kind: str, mode: str, stages: Stages) -> None:
    seen, expected = (observe(stages, one, talk, kind, ANSWERED[talk]) for one in (mode, "uvicorn"))
    # Whether a background task or the next request comes first is a race on every server.
    seen, expected = (replace(one, notes=tuple(sorted(one.notes))) for one in (seen, expected))
    assert_same(seen, expected)


def observe(stages: Stages, mode: str, talk: Talk, kind: str, requests: int) -> Observation:
    stage = stages.get(FAMILY, mode)
    return stage.observe_talk(lambda client: talk(client, kind), requests=requests)


# Clients that leave


def leaves_while_the_endpoint_runs(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/held/left"))
    note.wait_for("waiting left")
    client.close()
    gates.get("left").set()
    note.wait_for("task")
    return b""


def resets_while_the_endpoint_runs(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/held/reset"))
    note.wait_for("waiting reset")
    client.reset()
    gates.get("reset").set()
    note.wait_for("task")
    return b""


def leaves_before_the_body_is_whole(client: raw.Client, kind: str) -> bytes:
    client.send(post(kind, "/bytes", b"x" * 1_000, BYTES)[:-1])
    time.sleep(PAUSE_SECONDS)
    client.close()
    return b""


def leaves_before_the_form_is_whole(client: raw.Client, kind: str) -> bytes:
    body, content_type = multipart(b"x" * 100_000)
    client.send(post(kind, "/upload", body, content_type)[:-1_000])
    time.sleep(PAUSE_SECONDS)
    client.close()
    return b""


def leaves_in_the_middle_of_the_answer(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/big"))
    client.response_head()
    client.close()
    note.wait_for("task after the big answer")
    return b""


def leaves_an_endless_answer(client: raw.Client, kind: str) -> bytes:
    client.send(get(kind, "/endless"))
    client.response_head()
    client.close()
    return b""


LEFT: list[Talk] = [
    leaves_while_the_endpoint_runs,
    resets_while_the_endpoint_runs,
    leaves_before_the_body_is_whole,
    leaves_before_the_form_is_whole,
    leaves_in_the_middle_of_the_answer,
    leaves_an_endless_answer,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("talk", LEFT, ids=lambda talk: talk.__name__)
def test_client_that_leaves_is_seen_as_by_uvicorn(talk: Talk, kind: str, mode: str, stages: Stages) -> None:
    seen, expected = (replace(observe(stages, one, talk, kind, 0), access=()) for one in (mode, "uvicorn"))
    assert_same(seen, expected)
    # And the server goes on.
    assert_same(*(observe(stages, one, http10, kind, 1) for one in (mode, "uvicorn")))

"""Which worker accepts a connection: they spread evenly, and none waits for a loop that is blocked."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.serving import ServedProcess
from tests.supervisors.gate_app import BLOCK_SECONDS
from tests.supervisors.load import open_connections, wait_listening

APP = "tests.supervisors.gate_app:app"
STARTED = r"Started server process \[(\d+)\]"


def wait_ready(server: ServedProcess, workers: int) -> None:
    """Wait until every worker has accepted: only then do they share."""
    assert server.stderr is not None
    pids = set(server.stderr.wait_for_count(STARTED, workers))
    wait_listening(server.port)
    seen: set[str] = set()
    end = time.monotonic() + 10
    while seen != pids:
        clients = open_connections(server.port, 4 * workers)
        seen |= {client.response().body.decode() for client in clients}
        for client in clients:
            client.close()
        assert time.monotonic() < end, f"{pids - seen} of {pids} accept nothing"


def wait_stalled(admin_port: int, seconds: float) -> None:
    """Wait until some worker's loop has not answered for so long."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with raw.Client(port=admin_port) as client:
            page = client.exchange(raw.request(target="/metrics")).body.decode()
        if any(float(value) >= seconds for value in re.findall(r"bicorn_loop_stalled_seconds\{.*\} (\S+)", page)):
            return
    raise AssertionError(f"no loop has stalled for {seconds} s")


@pytest.mark.parametrize("target", ["/", "/compute"])
@pytest.mark.parametrize("workers", [2, 4])
def test_kept_connections_spread_evenly(serve_process: ServeProcess, workers: int, target: str) -> None:
    with serve_process(APP, "--workers", str(workers), "--lifespan", "off") as server:
        wait_ready(server, workers)
        clients = open_connections(server.port, 64, target=target)
        spread = Counter(client.response().body.decode() for client in clients)
        for client in clients:
            client.close()
        assert len(spread) == workers, spread
        assert max(spread.values()) <= 1.3 * 64 / workers, spread


def test_no_connection_waits_for_a_blocked_worker(serve_process: ServeProcess) -> None:
    arguments = ("--workers", "2", "--lifespan", "off", "--admin-bind", "127.0.0.1:0")
    with serve_process(APP, *arguments) as server:
        wait_ready(server, 2)
        assert server.stdout is not None
        assert server.stderr is not None
        admin_port = int(server.stderr.wait_for(r"Management listener running on http://127\.0\.0\.1:(\d+)")[1])
        with server.connect(timeout=BLOCK_SECONDS + 5) as blocking:
            begun = time.monotonic()
            blocking.send(raw.request(target="/block"))
            blocked = server.stdout.wait_for(r"blocked (\d+)")[1]
            wait_stalled(admin_port, seconds=0.1)
            answers: list[tuple[float, str]] = []

            def ask() -> None:
                for _ in range(25):
                    since = time.monotonic()
                    with server.connect() as client:
                        pid = client.exchange(raw.request()).body.decode()
                    answers.append((time.monotonic() - since, pid))

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert time.monotonic() - begun < BLOCK_SECONDS, "the worker was free again before all had asked"
            assert len(answers) == 200
            assert blocked not in {pid for _, pid in answers}, sorted(answers)[-5:]
            assert blocking.response().body.decode() == blocked


def test_all_workers_accept_again_behind_a_block(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--workers", "2", "--lifespan", "off") as server:
        wait_ready(server, 2)
        with server.connect(timeout=BLOCK_SECONDS + 5) as blocking:
            blocking.send(raw.request(target="/block"))
            blocking.response()
        wait_ready(server, 2)

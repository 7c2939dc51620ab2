"""Workers under load: replaced, recycled, killed and ended while clients ask as fast as they are answered.

HTTP/1 on kept connections and on fresh ones, and HTTP/2, at the same time. What a client may see is written with each
test; a failed request is never asked again. Two workers, a minute altogether.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.serving import ServedProcess
from tests.supervisors.load import load, wait_listening

APP = "tests.apps:hello"
OPTIONS = ("--workers", "2", "--lifespan", "off", "--no-access-log")
CLIENTS = {"kept alive": 3, "closed": 2, "HTTP/2": 2}
STARTED = r"Started server process \[(\d+)\]"
REQUESTS = 50_000

pytestmark = pytest.mark.timeout(180)


def wait_started(server: ServedProcess, count: int) -> list[str]:
    assert server.stderr is not None
    started = server.stderr.wait_for_count(STARTED, count, timeout=60)
    wait_listening(server.port)
    return started


def test_ten_rolls_fail_no_request(serve_process: ServeProcess) -> None:
    with serve_process(APP, *OPTIONS) as server:
        wait_started(server, 2)
        begun = time.monotonic()
        with load(server.port, CLIENTS) as clients:
            for roll in range(1, 11):
                server.signal(signal.SIGHUP)
                wait_started(server, 2 + 2 * roll)
                clients.wait_for(REQUESTS * roll // 10, timeout=120)
            rate = clients.total / (time.monotonic() - begun)
        print(f"{clients.total} answered, {rate:.0f} a second, longest gap {clients.longest_gap:.3f} s")
        assert not clients.failures, clients.failures[:5]
        assert clients.total >= REQUESTS
        assert rate >= 500, f"{rate:.0f} requests a second are too few to show anything"
        assert min(clients.answered.values()) > 1000, clients.answered


def test_recycling_fails_no_request(serve_process: ServeProcess) -> None:
    limits = ("--limit-max-requests", "3000", "--limit-max-requests-jitter", "1000")
    with serve_process(APP, *OPTIONS, *limits) as server:
        wait_started(server, 2)
        with load(server.port, CLIENTS) as clients:
            clients.wait_for(REQUESTS, timeout=120)
            # A limit is reached again and again, and each time another worker is there first.
            wait_started(server, 2 + REQUESTS // 8000)
        assert not clients.failures, clients.failures[:5]
        assert server.stderr is not None
        assert "Maximum request limit of" in server.stderr.text


def test_sigterm_loses_nothing_in_flight(serve_process: ServeProcess) -> None:
    with serve_process("tests.suites.workers_app:slow", *OPTIONS) as server:
        wait_started(server, 2)
        outcomes: list[str] = []

        def ask() -> None:
            while True:
                try:
                    client = server.connect()
                except OSError:
                    # Nobody listens any more.
                    return
                with client:
                    try:
                        client.send(raw.request())
                        outcomes.append(f"{client.response().status}")
                    except (OSError, raw.BadResponse) as error:
                        outcomes.append(f"lost: {type(error).__name__} {error}")

        threads = [threading.Thread(target=ask) for _ in range(24)]
        for thread in threads:
            thread.start()
        while len(outcomes) < 500:
            threads[0].join(0.01)
        server.signal(signal.SIGTERM)
        since = time.monotonic()
        assert server.wait() == 0
        took = time.monotonic() - since
        for thread in threads:
            thread.join()
        lost = [outcome for outcome in outcomes if outcome != "200"]
        assert not lost, f"{len(lost)} of {len(outcomes)}: {lost[:5]}"
        assert took < 2, f"the last request takes 0.05 s, the end took {took:.1f} s"


def test_killed_worker_takes_only_its_own_requests(serve_process: ServeProcess) -> None:
    with serve_process(APP, *OPTIONS) as server:
        wait_started(server, 2)
        # One request at a time on each connection: a kill can take as many as there are clients.
        with load(server.port, CLIENTS) as clients:
            gaps = []
            for kill in range(5):
                # One that dies young would be replaced more slowly each time: the oldest, after five seconds.
                begun = time.monotonic()
                while time.monotonic() < begun + 5:
                    clients.wait_for(clients.total + 500)
                victim = int(wait_started(server, 2 + kill)[kill])
                before = len(clients.failures)
                os.kill(victim, signal.SIGKILL)
                since = time.monotonic()
                wait_started(server, 3 + kill)
                gaps.append(time.monotonic() - since)
                clients.wait_for(clients.total + 3000)
                lost = len(clients.failures) - before
                assert lost <= sum(CLIENTS.values()), clients.failures[before:][:10]
        print("started again after", [f"{gap:.2f} s" for gap in gaps])
        assert max(gaps) < 5, gaps

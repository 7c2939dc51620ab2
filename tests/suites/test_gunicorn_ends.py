"""bicorn's worker under gunicorn: starts that fail, workers that are stuck, and the ends of both."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests import raw
from tests.suites.arbiter import APP, VERSIONS, Arbiter, answer, arbiter

pytestmark = pytest.mark.timeout(60)

APPS = "tests.suites.gunicorn_app"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The gunicorn under test."""
    found: str = request.param
    return found


# Starts.


@pytest.mark.parametrize(
    ("app", "worker", "code", "told"),
    [
        (f"{APPS}:failing", "bicorn.workers.BicornWorker", 3, "no database"),
        ("broken:app", "bicorn.workers.BicornWorker", 3, "RuntimeError: not today"),
        (f"{APPS}:missing", "bicorn.workers.BicornWorker", 4, "Failed to find attribute 'missing'"),
        (APP, f"{APPS}.WrongWorker", 3, "limit_request_head"),
    ],
    ids=["lifespan fails", "import raises", "no such app", "no such value"],
)
def test_start_that_fails_stops_the_arbiter(
    app: str, worker: str, code: int, told: str, version: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('not today')\n")
    with arbiter(version, tmp_path, "-k", worker, app=app, is_ready=False) as running:
        assert running.wait() == code
    assert told in running.log_text


def test_certificate_that_is_none_stops_the_arbiter(version: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.pem").write_text("this is no certificate\n")
    files = ["--certfile", str(tmp_path / "wrong.pem"), "--keyfile", str(tmp_path / "wrong.pem")]
    with arbiter(version, tmp_path, *files, is_ready=False) as running:
        assert running.wait() == 3
    assert "wrong.pem" in running.log_text


def test_start_that_hangs_concerns_one_worker(version: str, tmp_path: Path) -> None:
    # gunicorn's timeout begins with the first heartbeat: a start may take as long as it needs.
    flag = tmp_path / "hangs"
    flag.touch()
    app, environment = f"{APPS}:hanging_once", {"HANGS": str(flag)}
    with arbiter(
        version, tmp_path, "--timeout", "1", app=app, environment=environment, workers=2, is_ready=False
    ) as running:
        running.wait_for("Application startup complete")
        assert not flag.exists()
        workers = running.workers
        for _ in range(5):
            running.ask("/sleep?0.3")
        assert running.workers == workers
        running.signal(signal.SIGQUIT)
        assert running.wait() == 0


# A worker that is stuck.


def test_blocked_worker_is_killed_and_replaced(version: str, tmp_path: Path) -> None:
    config = "def worker_abort(worker):\n    print('hook worker_abort', flush=True)\n"
    with arbiter(version, tmp_path, "--timeout", "2", workers=2, config=config) as running, running.connect() as client:
        client.send(raw.request(target="/block?60"))
        running.wait_for("began /block")
        blocked = int(re.findall(r"began /block (\d+)", running.log_text)[0])
        running.wait_for(f"WORKER TIMEOUT \\(pid:{blocked}\\)")
        running.wait_until(lambda: blocked not in running.workers, "the blocked worker is gone")
        running.wait_for("Application startup complete", 3)
        assert running.ask()["pid"] in running.workers
    assert "hook worker_abort" in running.log_text


def test_worker_that_blocks_for_less_than_the_timeout_lives(version: str, tmp_path: Path) -> None:
    # Its heartbeat is each second: with half of the timeout, as uvicorn's worker has it, it might be killed.
    with arbiter(version, tmp_path, "--timeout", "6") as running:
        worker = running.workers[0]
        assert running.ask("/block?4")["pid"] == worker
        assert running.workers == [worker]
    assert "WORKER TIMEOUT" not in running.log_text


def test_workers_end_when_their_arbiter_is_killed(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, workers=2) as running, running.connect() as client:
        workers = running.workers
        client.send(raw.request(target="/sleep?3"))
        running.wait_for("began /sleep")
        running.process.kill()
        assert client.response().status == 200
        running.process.wait()
        _wait_until_gone(running, workers)
    assert "Parent changed, shutting down" in running.log_text


# Ends.


def test_sigterm_waits_for_requests_and_for_the_application(version: str, tmp_path: Path) -> None:
    config = "def worker_exit(server, worker):\n    print('hook worker_exit', flush=True)\n"
    with arbiter(version, tmp_path, config=config) as running, running.connect() as client:
        client.send(raw.request(target="/sleep?1"))
        running.wait_for("began /sleep")
        running.signal(signal.SIGTERM)
        response = client.response()
        assert response.status == 200
        assert running.wait() == 0
    assert "Application shutdown complete" in running.log_text
    assert "hook worker_exit" in running.log_text
    # It has ended by itself, not by the signal.
    assert "was sent SIGTERM" not in running.log_text


def test_graceful_timeout_leaves_time_to_end_well(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, "--graceful-timeout", "4") as running, running.connect() as client:
        client.send(raw.request(target="/sleep?60"))
        running.wait_for("began /sleep")
        running.signal(signal.SIGTERM)
        assert client.response().status == 500
        assert running.wait() == 0
    assert "Application shutdown complete" in running.log_text


@pytest.mark.parametrize(("what", "number"), [("sleep", signal.SIGINT), ("block", signal.SIGQUIT)])
def test_quick_stop_waits_for_nothing(what: str, number: signal.Signals, version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, "--graceful-timeout", "20") as running, running.connect() as client:
        client.send(raw.request(target=f"/{what}?60"))
        running.wait_for(f"began /{what}")
        began = time.monotonic()
        running.signal(number)
        assert running.wait() == 0
        assert time.monotonic() - began < 10
    assert "Perhaps out of memory" not in running.log_text


def test_worker_that_gets_sigint_ends_at_once_and_is_replaced(version: str, tmp_path: Path) -> None:
    config = "def worker_int(worker):\n    print('hook worker_int', flush=True)\n"
    with arbiter(version, tmp_path, config=config) as running, running.connect() as client:
        client.send(raw.request(target="/sleep?60"))
        running.wait_for("began /sleep")
        worker = running.workers[0]
        os.kill(worker, signal.SIGINT)
        running.wait_for("Application startup complete", 2)
        assert worker not in running.workers
        running.ask()
    assert "hook worker_int" in running.log_text


def test_workers_come_and_go_with_ttin_and_ttou(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path) as running:
        first = running.workers
        running.signal(signal.SIGTTIN)
        running.wait_for("Application startup complete", 2)
        assert len(running.workers) == 2
        running.signal(signal.SIGTTOU)
        running.wait_until(lambda: len(running.workers) == 1, "one worker is left")
        assert running.workers != first
        with running.connect() as client:
            answer(client)


def _wait_until_gone(running: Arbiter, pids: list[int]) -> None:
    # They are nobody's children any more, so nobody else waits for them.
    def are_gone() -> bool:
        return not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)

    end = time.monotonic() + 20
    while not are_gone():
        assert time.monotonic() < end, running.log_text
        time.sleep(0.02)

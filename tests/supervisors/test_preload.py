"""`--preload`: the app is imported once, and workers are forks of the supervisor."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.conftest import ServeProcess
from tests.processes import PROC, needs_proc, threads
from tests.supervisors.service import APP, serve_workers

needs_preload = pytest.mark.differs_from_uvicorn("it has no --preload")


@needs_preload
def test_app_is_imported_once_for_all_workers(serve_process: ServeProcess, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    with serve_workers(serve_process, "--preload", workers=3, environment={"IMPORT": str(imports)}) as service:
        assert imports.read_text() == f"{service.server.pid}\n"
        assert service.ask() in service.started()
        os.kill(service.started()[0], signal.SIGKILL)
        service.wait_ready(4)
        service.server.signal(signal.SIGHUP)
        service.wait_ready(7)
        assert imports.read_text() == f"{service.server.pid}\n"


def test_without_it_every_worker_imports_the_app(serve_process: ServeProcess, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    with serve_workers(serve_process, environment={"IMPORT": str(imports)}) as service:
        assert sorted(map(int, imports.read_text().split())) == sorted(service.started())


@needs_preload
@needs_proc
def test_supervisor_has_no_other_threads(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--preload") as service:
        assert threads(service.server.pid) == 1


@needs_preload
@needs_proc
def test_workers_have_nothing_of_the_supervisor(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--preload", workers=3) as service:
        ours = {
            os.readlink(path)
            for path in (PROC / str(service.server.pid) / "fd").iterdir()
            if "socket:" in os.readlink(path)
        }
        shared = []
        for pid in service.started():
            names = [os.readlink(path) for path in (PROC / str(pid) / "fd").iterdir()]
            shared.append(len(ours.intersection(names)))
    # The listener.
    assert shared == [1, 1, 1]


@needs_preload
def test_signals_of_a_forked_worker_are_its_own(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--preload") as service:
        victim = service.ask()
        os.kill(victim, signal.SIGTERM)
        service.log.wait_for(rf"Finished server process \[{victim}\]")
        service.log.wait_for(rf"Child process \[{victim}\] died")
        assert "Received SIGTERM" not in service.log.text
        service.wait_ready(3)


@needs_preload
def test_busy_worker_is_not_taken_for_dead(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--preload", "--timeout-worker-healthcheck", "1") as service:
        assert service.ask("/hold/3", timeout=20) in service.started()
        assert "has not answered" not in service.log.text


@needs_preload
def test_threads_that_the_app_starts_are_named(serve_process: ServeProcess, tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\n"
        "from tests.supervisors.apps import app\n"
        "threading.Thread(target=threading.Event().wait, name='sampler', daemon=True).start()\n"
    )
    with serve_workers(serve_process, "--preload", "--app-dir", str(tmp_path), app="threaded:app") as service:
        assert re.search("WARNING: .*which workers do not have: sampler", service.log.text)


@needs_preload
def test_it_is_refused_with_reload(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--preload", "--reload", wait=False) as server:
        assert server.wait() == 3
        server.stop()
    assert server.stderr is not None
    assert "cannot use preload with reload" in server.stderr.text

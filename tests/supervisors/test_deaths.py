"""Workers that die, hang or cannot start: who follows, when, and what the log says."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.processes import PROC
from tests.supervisors.service import APP, LIFESPAN_APP, needs_pidfd, serve_workers, watched

DIED = r"Child process \[(\d+)\] died: ([^\n]+)"


@pytest.mark.parity
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_dead_worker_is_replaced(serve_process: ServeProcess, number: int) -> None:
    with serve_workers(serve_process) as service:
        victim = service.ask()
        os.kill(victim, number)
        service.wait_ready(3)
        assert f"Child process [{victim}] died" in service.log.text
        assert victim not in {service.ask() for _ in range(8)}
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0


def test_dead_worker_is_noticed_at_once(serve_process: ServeProcess, server_name: str) -> None:
    if server_name != "bicorn":
        pytest.skip("uvicorn looks twice a second")
    with serve_workers(serve_process) as service:
        victim = service.ask()
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        service.log.wait_for("died")
        # It takes a millisecond; the machine may be busy.
        assert time.monotonic() - begin < 0.3


@pytest.mark.differs_from_uvicorn("it says that a worker has died, not of what")
@pytest.mark.parametrize(
    ("path", "level", "cause"),
    [
        ("/kill/9", "WARNING", "killed by SIGKILL"),
        ("/kill/11", "WARNING", "killed by SIGSEGV"),
        ("/exit/7", "WARNING", "exit code 7"),
        ("/exit/3", "WARNING", "exit code 3"),
        ("/exit/0", "INFO", "exit code 0"),
    ],
)
def test_cause_of_a_death_is_in_the_log(serve_process: ServeProcess, path: str, level: str, cause: str) -> None:
    with serve_workers(serve_process) as service:
        with service.server.connect() as client:
            service.send(client, path)
            client.wait_closed()
        service.wait_ready(3)
        match = re.search(rf"(\w+): +{DIED}", service.log.text)
        assert match is not None
        assert (match[1], match[3]) == (level, cause)
        assert int(match[2]) in service.started()


def test_killed_worker_takes_only_its_own_requests_along(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service, ExitStack() as stack:
        clients: list[tuple[int, raw.Client]] = []
        while len({pid for pid, _ in clients}) < 2:
            client = stack.enter_context(service.server.connect())
            clients.append((int(client.exchange(raw.request()).body), client))
            assert len(clients) < 100, "one worker takes every connection"
        for _, client in clients:
            client.send(raw.request("POST", "/body", headers=[("Content-Length", "1")]))
        assert service.server.stdout is not None
        service.server.stdout.wait_for("(?s)" + ".*".join(["request begun"] * len(clients)))
        victim = clients[0][0]
        os.kill(victim, signal.SIGKILL)
        service.log.wait_for(rf"Child process \[{victim}\] died")
        for pid, client in clients:
            if pid == victim:
                client.wait_closed()
            else:
                client.send(b"x")
                assert client.response().body == str(pid).encode()


@pytest.mark.differs_from_uvicorn("it starts the next at once, for ever")
def test_worker_that_dies_young_again_and_again_is_followed_more_slowly(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        delays = []
        for ready in (3, 4, 5):
            victim = service.started()[-1]
            begin = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            service.wait_ready(ready)
            delays.append(time.monotonic() - begin)
        said = [cause.removeprefix("killed by SIGKILL") for _, cause in re.findall(DIED, service.log.text)]
        # The other worker serves.
        assert service.ask() in service.started()
    assert said == ["", ", starting another in 0.5 seconds", ", starting another in 1 seconds"]
    assert delays[1] >= 0.5
    assert delays[2] >= 1.0


@pytest.mark.differs_from_uvicorn("it delays nothing")
def test_sigterm_does_not_wait_for_a_delayed_start(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        for ready in (3, 4):
            os.kill(service.started()[-1], signal.SIGKILL)
            service.wait_ready(ready)
        os.kill(service.started()[-1], signal.SIGKILL)
        service.log.wait_for("starting another in 1 seconds")
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0
        service.server.stop()
    assert len(service.started()) == 4


@pytest.mark.differs_from_uvicorn("its supervisor ends with 0, or never if the import raises")
@pytest.mark.parametrize(
    ("app", "arguments", "reason"),
    [
        ("tests.supervisors.apps:nothing", (), 'Attribute "nothing" not found in module'),
        ("tests.supervisors.no_such_module:app", (), 'Could not import module "tests.supervisors.no_such_module"'),
        (LIFESPAN_APP, ("--lifespan", "on"), "as asked"),
        (APP, ("--lifespan", "on"), "Exception in 'lifespan' protocol"),
        (APP, (), "this import fails"),
        (APP, ("--preload",), "this import fails"),
    ],
)
def test_worker_that_cannot_start_stops_the_service_with_3(
    serve_process: ServeProcess, tmp_path: Path, app: str, arguments: tuple[str, ...], reason: str
) -> None:
    environment = {}
    if reason == "as asked":
        environment = {"LIFESPAN_FAILS": str(tmp_path)}
    if reason == "this import fails":
        environment = {"IMPORT": str(tmp_path / "imports")}
        (tmp_path / "imports.fails").touch()
    with serve_process(app, "--workers", "2", *arguments, environment=environment) as server:
        assert server.wait() == 3
        server.stop()
    assert server.stderr is not None
    assert reason in server.stderr.text
    if "--preload" not in arguments:
        assert re.search(r"Child process \[\d+\] failed to start, stopping the parent process\.", server.stderr.text)
    assert server.stderr.text.splitlines()[-1].startswith("INFO:     Stopping parent process [") or arguments


@pytest.mark.differs_from_uvicorn("it does not say why it kills")
def test_worker_that_is_stopped_is_killed_and_replaced(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--timeout-worker-healthcheck", "1") as service:
        victim = service.ask()
        os.kill(victim, signal.SIGSTOP)
        service.log.wait_for(rf"Child process \[{victim}\] has not answered for 1 seconds, killing it\.")
        service.wait_ready(3)
        assert re.search(rf"Child process \[{victim}\] died: killed by SIGKILL\n", service.log.text)


@pytest.mark.differs_from_uvicorn("it waits for ever")
def test_worker_that_is_stopped_does_not_hold_up_the_end(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--timeout-worker-healthcheck", "1") as service:
        os.kill(service.ask(), signal.SIGSTOP)
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0


@pytest.mark.parametrize(
    "path",
    ["/sleep/3", pytest.param("/hold/3", marks=pytest.mark.differs_from_uvicorn("it kills a worker that computes"))],
)
def test_busy_worker_is_not_taken_for_dead(serve_process: ServeProcess, path: str) -> None:
    with serve_workers(serve_process, "--timeout-worker-healthcheck", "1") as service:
        before = service.started()
        assert service.ask(path, timeout=20) in before
        assert service.started() == before
        assert "has not answered" not in service.log.text


@needs_pidfd
def test_supervisor_that_was_stopped_kills_nobody(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--timeout-worker-healthcheck", "1") as service:
        before = service.started()
        with watched(before) as workers:
            for pid in (service.server.pid, *before):
                os.kill(pid, signal.SIGSTOP)
            # Longer than the health check allows: time itself is what is tested.
            time.sleep(3)
            for pid in (service.server.pid, *before):
                os.kill(pid, signal.SIGCONT)
            service.server.signal(signal.SIGTTIN)
            service.wait_ready(3)
            assert workers.are_there
        assert "has not answered" not in service.log.text


def ignore_children() -> None:
    """Leave the next program a disposition that some parents leave by mistake."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@pytest.mark.differs_from_uvicorn("it does not notice deaths then")
def test_inherited_disposition_of_children_does_no_harm(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, preexec=ignore_children) as service:
        os.kill(service.ask(), signal.SIGKILL)
        service.log.wait_for("died: killed by SIGKILL")
        service.wait_ready(3)


@pytest.mark.differs_from_uvicorn("its supervisor ends with a traceback")
def test_lack_of_descriptors_is_waited_out(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        pid = service.server.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        in_use = len(list((PROC / str(pid) / "fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 2, before[1]))
        os.kill(service.ask(), signal.SIGKILL)
        service.log.wait_for("cannot start a child process: too many open files")
        assert service.ask() in service.started()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        service.wait_ready(3)

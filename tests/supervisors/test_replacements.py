"""SIGHUP and request limits: a worker leaves when its successor serves, and stays if that does not come."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.supervisors.load import load
from tests.supervisors.service import LIFESPAN_APP, Service, serve_workers

NOT_READY = r"New child process \[(\d+)\] was not ready in time; keeping worker \[(\d+)\]"


def pids_now(service: Service) -> set[int]:
    """Ask until every worker has answered, or long enough."""
    return {service.ask() for _ in range(20)}


@pytest.mark.parity
def test_sighup_replaces_every_worker(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        before = service.started()
        service.server.signal(signal.SIGHUP)
        service.wait_ready(4)
        service.wait_for_lines("Finished server process", 2)
        assert pids_now(service).isdisjoint(before)
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0
        service.server.stop()
    assert "Received SIGHUP, restarting processes." in service.log.text
    assert "died" not in service.log.text


@pytest.mark.parity
def test_sighup_replaces_one_after_the_other(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        service.server.signal(signal.SIGHUP)
        service.wait_for_lines("Finished server process", 2)
    words = re.findall("Started server process|startup complete|Terminated child", service.log.text)
    one = ["Started server process", "startup complete", "Terminated child"]
    assert words[4:10] == one * 2, service.log.text


def test_nothing_fails_while_workers_are_replaced(serve_process: ServeProcess, server_name: str) -> None:
    if server_name != "bicorn":
        pytest.skip("with uvicorn some requests fail, not always")
    with serve_workers(serve_process, app="tests.apps:hello") as service:
        with load(service.server.port, {"kept alive": 2, "closed": 2, "HTTP/2": 1}) as clients:
            for ready in (4, 6):
                clients.wait_for(clients.total + 100)
                service.server.signal(signal.SIGHUP)
                service.wait_ready(ready)
                service.wait_for_lines("Finished server process", ready - 2)
            clients.wait_for(clients.total + 100)
        assert clients.failures == []


@pytest.mark.parity
def test_sighup_with_broken_code_keeps_the_workers(serve_process: ServeProcess, tmp_path: Path) -> None:
    failing = tmp_path / "fails"
    environment = {"LIFESPAN_FAILS": str(failing)}
    with serve_workers(serve_process, app=LIFESPAN_APP, environment=environment) as service:
        before = service.started()
        failing.touch()
        service.server.signal(signal.SIGHUP)
        match = service.log.wait_for(rf"{NOT_READY} and aborting the restart\.")
        assert int(match[2]) in before
        assert pids_now(service) <= set(before)
        failing.unlink()
        service.server.signal(signal.SIGHUP)
        service.wait_ready(4)
        service.wait_for_lines("Finished server process", 2)
        assert pids_now(service).isdisjoint(before)


def test_successor_that_is_not_ready_in_time_is_given_up(serve_process: ServeProcess, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    arguments = ("--timeout-worker-healthcheck", "2")
    with serve_workers(serve_process, *arguments, environment={"IMPORT": str(imports)}) as service:
        before = service.started()
        imports.with_suffix(".waits").touch()
        service.server.signal(signal.SIGHUP)
        # Signals are answered meanwhile.
        assert service.server.stdout is not None
        service.server.stdout.wait_for("import waits")
        service.server.signal(signal.SIGTTOU)
        service.log.wait_for("Received SIGTTOU")
        service.wait_for_lines("Finished server process", 1)
        service.log.wait_for(rf"{NOT_READY} and aborting the restart\.")
        assert pids_now(service) <= set(before)


@pytest.mark.differs_from_uvicorn("it does a roll for each signal")
def test_sighups_during_a_roll_start_one_more(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service:
        for count in (1, 2, 3):
            service.server.signal(signal.SIGHUP)
            service.wait_for_lines("Received SIGHUP", count)
        service.wait_for_lines("Finished server process", 2)
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0
        service.server.stop()
    # The first successor may be older than the last signal; all in service are newer.
    assert 4 <= len(service.started()) <= 6


@pytest.mark.differs_from_uvicorn("it sees no death while it waits for a successor")
def test_worker_that_dies_while_it_is_replaced_is_replaced_once(serve_process: ServeProcess, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    with serve_workers(serve_process, environment={"IMPORT": str(imports)}) as service:
        imports.with_suffix(".waits").touch()
        service.server.signal(signal.SIGHUP)
        assert service.server.stdout is not None
        service.server.stdout.wait_for("import waits")
        imports.with_suffix(".waits").unlink()
        # The first in line is the first to be replaced; one of the two dies, whichever.
        with service.server.connect() as client:
            service.send(client, "/kill/9")
            client.wait_closed()
        service.log.wait_for("died: killed by SIGKILL")
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0


@pytest.mark.differs_from_uvicorn("a worker at its limit leaves, and then another starts")
def test_worker_at_its_limit_is_replaced_before_it_leaves(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--limit-max-requests", "20") as service:
        served = set()
        while service.log.text.count("Finished server process") < 2:
            served.add(service.ask())
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0
        service.server.stop()
    assert len(served) >= 3
    text = service.log.text
    assert "Maximum request limit of 20 exceeded. Terminating process." in text
    assert "died" not in text
    # At each moment there were two that serve: as many were ready as had been told to leave, and two more.
    ready = 0
    for word in re.findall(r"startup complete|Terminated child|Received SIGTERM", text):
        if word == "Received SIGTERM":
            break
        ready += 1 if word == "startup complete" else -1
        assert ready <= 3
    assert ready >= 2


@pytest.mark.differs_from_uvicorn("a worker at its limit leaves")
def test_worker_at_its_limit_serves_on_while_successors_fail(serve_process: ServeProcess, tmp_path: Path) -> None:
    failing = tmp_path / "fails"
    environment = {"LIFESPAN_FAILS": str(failing)}
    arguments = ("--limit-max-requests", "5")
    with serve_workers(serve_process, *arguments, app=LIFESPAN_APP, environment=environment) as service:
        before = set(service.started())
        failing.touch()
        assert {service.ask() for _ in range(30)} <= before
        service.wait_for_lines(rf"{NOT_READY}\.", 2)
        assert pids_now(service) <= before
        failing.unlink()
        service.wait_for_lines("Finished server process", 2)
        assert pids_now(service).isdisjoint(before)


def test_jitter_spreads_the_limits(serve_process: ServeProcess) -> None:
    arguments = ("--limit-max-requests", "5", "--limit-max-requests-jitter", "1000000")
    with serve_workers(serve_process, *arguments, workers=3) as service:
        for _ in range(60):
            service.ask()
        assert "Maximum request limit" not in service.log.text


def test_connection_is_kept_for_one_more_request(serve_process: ServeProcess, server_name: str) -> None:
    if server_name != "bicorn":
        pytest.skip("uvicorn closes it, sometimes under a request")
    with serve_workers(serve_process) as service, service.server.connect() as client:
        old = int(client.exchange(raw.request()).body)
        service.server.signal(signal.SIGHUP)
        service.wait_ready(4)
        service.wait_for_lines("Shutting down", 2)
        # It may be asked just before it retires.
        while not (response := client.exchange(raw.request())).closes:
            assert int(response.body) == old
        assert int(response.body) == old


@pytest.mark.differs_from_uvicorn("it waits for each worker that leaves, and answers nothing meanwhile")
def test_roll_waits_for_workers_that_leave(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service, ExitStack() as stack:
        busy: dict[int, raw.Client] = {}
        while len(busy) < 2:
            client = stack.enter_context(service.server.connect())
            busy.setdefault(int(client.exchange(raw.request()).body), client)
        for client in busy.values():
            client.send(raw.request("POST", "/body", headers=[("Content-Length", "1")]))
        assert service.server.stdout is not None
        service.server.stdout.wait_for("(?s)request begun.*request begun")
        service.server.signal(signal.SIGHUP)
        service.wait_ready(4)
        service.wait_for_lines("Terminated child process", 2)
        service.server.signal(signal.SIGHUP)
        service.log.wait_for("Waiting for child processes that leave, before others are replaced.")
        for pid, client in busy.items():
            client.send(b"x")
            assert client.response().body == str(pid).encode()
        service.wait_ready(6)
        service.wait_for_lines("Terminated child process", 4)

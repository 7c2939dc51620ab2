"""Signals to a supervisor: what it says, does, and ends with; the same as uvicorn's where that is no mistake."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.supervisors.service import APP, LIFESPAN_APP, Service, needs_pidfd, serve_workers, watched


def parent_lines(service: Service) -> list[str]:
    """Return what the supervisor has said, with names in place of process ids."""
    lines = []
    for line in service.log.text.splitlines():
        level, _, message = line.partition(" ")
        if re.search(r"parent|child|Received|running on|Already", message):
            lines.append(level + " " + re.sub(r"[\d.]{2,}(:\d+)?", "N", message.strip()))
    return lines


@pytest.mark.parity
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_everything_with_0(serve_process: ServeProcess, number: signal.Signals) -> None:
    with serve_workers(serve_process) as service:
        service.ask()
        service.server.signal(number)
        assert service.server.wait() == 0
        service.server.stop()
    running = re.sub("(?i)bicorn|uvicorn", "S", parent_lines(service)[0])
    assert running == "INFO: S running on http://N (Press CTRL+C to quit)"
    assert parent_lines(service)[1:] == [
        "INFO: Started parent process [N]",
        f"INFO: Received {number.name}, exiting.",
        "INFO: Terminated child process [N]",
        "INFO: Terminated child process [N]",
        "INFO: Waiting for child process [N]",
        "INFO: Waiting for child process [N]",
        "INFO: Stopping parent process [N]",
    ]
    assert service.log.text.count("Finished server process") == 2


@pytest.mark.parity
def test_control_c_in_a_terminal_reaches_everybody_and_ends_with_0(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, preexec=os.setpgrp) as service:
        os.killpg(service.server.pid, signal.SIGINT)
        assert service.server.wait() == 0
        service.server.stop()
    assert service.log.text.count("Finished server process") == 2
    assert "Traceback" not in service.log.text
    assert parent_lines(service)[-1] == "INFO: Stopping parent process [N]"


@pytest.mark.parity
def test_requests_in_flight_are_answered(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service, service.server.connect() as client:
        client.send(raw.request("POST", "/body", headers=[("Content-Length", "1")]))
        assert service.server.stdout is not None
        service.server.stdout.wait_for("request begun")
        service.server.signal(signal.SIGTERM)
        service.log.wait_for("Waiting for child process")
        client.send(b"x")
        assert client.response().status == 200
        assert service.server.wait() == 0


@pytest.mark.differs_from_uvicorn("its supervisor keeps the listener open, and nobody takes the connection")
def test_new_connections_are_refused_while_workers_drain(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service, service.server.connect() as client:
        client.send(raw.request("POST", "/body", headers=[("Content-Length", "1")]))
        assert service.server.stdout is not None
        service.server.stdout.wait_for("request begun")
        service.server.signal(signal.SIGTERM)
        service.log.wait_for("Waiting for connections to close")
        service.wait_for_lines("Shutting down", 2)
        service.wait_for_lines("Finished server process", 1)
        with pytest.raises(ConnectionRefusedError):
            service.server.connect().close()
        client.send(b"x")
        assert client.response().status == 200


@pytest.mark.differs_from_uvicorn("its supervisor goes on waiting")
def test_second_sigint_kills_what_does_not_end(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process) as service, service.server.connect() as client:
        service.send(client, "/forever")
        assert service.server.stdout is not None
        service.server.stdout.wait_for("request begun")
        service.server.signal(signal.SIGINT)
        service.log.wait_for("Waiting for connections to close")
        service.server.signal(signal.SIGINT)
        assert service.server.wait() == 0
        service.server.stop()
    assert "Received SIGINT, killing child processes." in service.log.text


@pytest.mark.parity
@pytest.mark.parametrize("name", ["SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"])
def test_other_signals_are_ignored(serve_process: ServeProcess, name: str) -> None:
    with serve_workers(serve_process, "--log-level", "debug") as service:
        service.server.signal(signal.Signals[name])
        service.log.wait_for(f"Received signal {name[3:]}, but no handler is defined for it.")
        assert service.ask() in service.started()


@pytest.mark.parity
def test_ttin_and_ttou_change_the_number_of_workers(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, workers=2) as service:
        service.server.signal(signal.SIGTTIN)
        assert len(service.wait_ready(3)) == 3
        for ended in (1, 2):
            service.server.signal(signal.SIGTTOU)
            service.wait_for_lines("Finished server process", ended)
        service.server.signal(signal.SIGTTOU)
        service.log.wait_for("Already reached one process, cannot decrease the number of processes anymore.")
        assert service.ask() in service.started()
        service.server.signal(signal.SIGTERM)
        assert service.server.wait() == 0
        service.server.stop()
    assert "INFO: Received SIGTTIN, increasing the number of processes." in parent_lines(service)
    assert parent_lines(service).count("INFO: Received SIGTTOU, decreasing number of processes.") == 3


@pytest.mark.differs_from_uvicorn("it has no --drain-delay")
def test_drain_delay_serves_on_after_sigterm(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--drain-delay", "1.5") as service:
        begin = time.monotonic()
        service.server.signal(signal.SIGTERM)
        service.log.wait_for(r"Serving for 1\.5 seconds more")
        assert service.ask() in service.started()
        assert service.server.wait() == 0
        assert time.monotonic() - begin >= 1.5


@pytest.mark.differs_from_uvicorn("it has no --drain-delay")
def test_sigint_does_not_wait_for_the_drain_delay(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, "--drain-delay", "60") as service:
        service.server.signal(signal.SIGTERM)
        service.log.wait_for("Serving for 60 seconds more")
        service.server.signal(signal.SIGINT)
        assert service.server.wait() == 0


@pytest.mark.differs_from_uvicorn("it waits for ever")
def test_worker_that_outlives_its_time_is_killed(serve_process: ServeProcess) -> None:
    environment = {"LIFESPAN_ENDS_IN": "60"}
    arguments = ("--timeout-graceful-shutdown", "0")
    with serve_workers(serve_process, *arguments, app=LIFESPAN_APP, environment=environment) as service:
        service.server.signal(signal.SIGTERM)
        assert service.server.wait(15) == 0
        service.server.stop()
    assert service.log.text.count("is still there 5 seconds after its time was over, killing it.") == 2


@pytest.mark.differs_from_uvicorn("its workers serve on without it")
@needs_pidfd
def test_workers_drain_and_end_when_their_supervisor_is_killed(serve_process: ServeProcess) -> None:
    with serve_workers(serve_process, app=LIFESPAN_APP) as service, service.server.connect() as client:
        with watched(service.started()) as workers:
            client.send(raw.request("POST", "/body", headers=[("Content-Length", "1")]))
            assert service.server.stdout is not None
            service.server.stdout.wait_for("request begun")
            service.server.signal(signal.SIGKILL)
            service.wait_for_lines("The parent process is gone, exiting.", 2)
            service.wait_for_lines("Shutting down", 2)
            client.send(b"x")
            assert client.response().status == 200
            workers.wait_gone()
        output = service.server.stdout.text
    assert output.count("lifespan over in") == 2


@pytest.mark.differs_from_uvicorn("its workers serve on without it")
@needs_pidfd
@pytest.mark.parametrize("arguments", [(), ("--preload",)])
def test_workers_end_when_their_supervisor_is_killed(serve_process: ServeProcess, arguments: tuple[str, ...]) -> None:
    with serve_workers(serve_process, *arguments, workers=3) as service, watched(service.started()) as workers:
        service.server.signal(signal.SIGKILL)
        workers.wait_gone()


@pytest.mark.differs_from_uvicorn("its workers serve on without it")
@needs_pidfd
def test_worker_that_imports_ends_with_its_supervisor(serve_process: ServeProcess, tmp_path: Path) -> None:
    imports = tmp_path / "imports"
    imports.with_suffix(".waits").touch()
    environment = {"IMPORT": str(imports)}
    with serve_process(APP, "--workers", "2", environment=environment) as server:
        assert server.stdout is not None
        server.stdout.wait_for("(?s)import waits.*import waits")
        with watched([int(line) for line in imports.read_text().split()]) as workers:
            server.signal(signal.SIGKILL)
            workers.wait_gone()

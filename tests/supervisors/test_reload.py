"""`--reload`: what is watched, what the log says, and what clients see of a restart."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import raw
from tests.conftest import ServeProcess
from tests.serving import ServedProcess
from tests.supervisors.service import READY, STARTED, needs_pidfd, watched

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"{0}"}})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with an app in it, which says "one"."""
    directory = tmp_path.resolve() / "project"
    directory.mkdir()
    (directory / "main.py").write_text(APP.format("one"))
    return directory


@contextmanager
def serve_reloading(serve_process: ServeProcess, project: Path, *arguments: str) -> Iterator[ServedProcess]:
    """Run a reloader in the project's directory; its first child is ready."""
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    with serve_process("main:app", "--reload", *arguments, cwd=project, environment=environment) as server:
        wait_ready(server, 1)
        yield server


def wait_ready(server: ServedProcess, count: int) -> None:
    """Wait until so many children have become ready."""
    assert server.stderr is not None
    server.stderr.wait_for("(?s)" + ".*".join([READY] * count))


def change(server: ServedProcess, path: Path, text: str) -> None:
    """Write a file until the reloader has seen it: uvicorn begins to watch a while after its child is ready."""
    assert server.stderr is not None
    seen = server.stderr.text.count("Reloading...")
    for _ in range(5):
        path.write_text(text)
        with suppress(AssertionError):
            server.stderr.wait_for("(?s)" + ".*".join(["Reloading"] * (seen + 1)), timeout=2)
            return
    raise AssertionError(f"nobody has seen that {path} has changed:\n{server.stderr.text}")


def connect(server: ServedProcess) -> raw.Client:
    """Connect, again and again if the first child does not listen yet: its log says that it starts just before."""
    while True:
        with suppress(ConnectionRefusedError):
            return server.connect()


def ask(server: ServedProcess) -> bytes:
    """Send a request and return the answer's body."""
    with connect(server) as client:
        return client.exchange(raw.request()).body


@pytest.mark.parity
def test_changed_file_is_served(serve_process: ServeProcess, project: Path) -> None:
    with serve_reloading(serve_process, project) as server:
        assert ask(server) == b"one"
        change(server, project / "main.py", APP.format("two"))
        wait_ready(server, 2)
        assert ask(server) == b"two"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        server.stop()
    assert server.stderr is not None
    lines = [re.sub(r"\[\d+\]|http\S+", "N", line) for line in server.stderr.text.splitlines()]
    assert re.sub("Uvicorn|Bicorn", "S", lines[1]) == "INFO:     S running on N (Press CTRL+C to quit)"
    # The rest is the children's.
    said = [line for line in (lines[0], *lines[2:]) if "reload" in line.lower() or "watch" in line.lower()]
    assert said == [
        f"INFO:     Will watch for changes in these directories: ['{project}']",
        "INFO:     Started reloader process N using WatchFiles",
        "WARNING:  WatchFiles detected changes in 'main.py'. Reloading...",
        "INFO:     Stopping reloader process N",
    ]


@pytest.mark.parity
def test_broken_file_is_waited_out(serve_process: ServeProcess, project: Path) -> None:
    with serve_reloading(serve_process, project) as server:
        assert server.stderr is not None
        change(server, project / "main.py", "def app(:\n")
        server.stderr.wait_for("SyntaxError")
        change(server, project / "main.py", APP.format("two"))
        wait_ready(server, 2)
        assert ask(server) == b"two"
        server.signal(signal.SIGINT)
        assert server.wait() == 0


@pytest.mark.parity
def test_broken_file_at_the_start_is_waited_out(serve_process: ServeProcess, project: Path) -> None:
    (project / "main.py").write_text("def app(:\n")
    with serve_process("main:app", "--reload", cwd=project) as server:
        assert server.stderr is not None
        server.stderr.wait_for("SyntaxError")
        change(server, project / "main.py", APP.format("one"))
        wait_ready(server, 1)
        assert ask(server) == b"one"


@pytest.mark.parity
def test_connections_wait_in_the_socket_while_the_child_restarts(serve_process: ServeProcess, project: Path) -> None:
    with serve_reloading(serve_process, project) as server:
        assert ask(server) == b"one"
        change(server, project / "main.py", "import time\ntime.sleep(0.5)\n" + APP.format("two"))
        assert server.stderr is not None
        server.stderr.wait_for("Finished server process")
        # There is no child that serves, and yet the connection is taken.
        with server.connect() as client:
            assert client.exchange(raw.request()).body == b"two"


@pytest.mark.parity
def test_other_files_are_left_alone_unless_they_are_included(serve_process: ServeProcess, project: Path) -> None:
    arguments = ("--reload-include", "*.html", "--reload-exclude", "ignored.py")
    with serve_reloading(serve_process, project, *arguments) as server:
        for name in ("notes.txt", "ignored.py", ".hidden.py"):
            (project / name).write_text("changed")
        change(server, project / "page.html", "changed")
        wait_ready(server, 2)
        assert server.stderr is not None
        assert "detected changes in 'page.html'. Reloading" in server.stderr.text


@pytest.mark.parity
def test_control_c_in_a_terminal_ends_with_0(serve_process: ServeProcess, project: Path) -> None:
    with serve_process("main:app", "--reload", cwd=project, preexec=os.setpgrp) as server:
        wait_ready(server, 1)
        ask(server)
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait() == 0
        server.stop()
    assert server.stderr is not None
    assert "Traceback" not in server.stderr.text
    assert "Finished server process" in server.stderr.text


@pytest.mark.parity
def test_workers_are_ignored(serve_process: ServeProcess, project: Path) -> None:
    with serve_reloading(serve_process, project, "--workers", "2") as server:
        assert ask(server) == b"one"
        assert server.stderr is not None
        assert 'WARNING:  "workers" flag is ignored when reloading is enabled.' in server.stderr.text
        assert len(re.findall(STARTED, server.stderr.text)) == 1


@pytest.mark.parity
def test_files_are_looked_at_where_watchfiles_is_missing(serve_process: ServeProcess, project: Path) -> None:
    # A module that cannot be imported stands before the installed one.
    (project / "watchfiles.py").write_text("raise ImportError\n")
    environment = {"PYTHONPATH": str(project)}
    arguments = ("--reload", "--reload-include", "*.html")
    with serve_process("main:app", *arguments, cwd=project, environment=environment) as server:
        wait_ready(server, 1)
        assert server.stderr is not None
        server.stderr.wait_for("no effect unless watchfiles is installed")
        server.stderr.wait_for(r"Started reloader process \[\d+\] using StatReload")
        ask(server)
        (project / "main.py").write_text(APP.format("two"))
        for attempt in range(5):
            # uvicorn's first look, at what is then called unchanged, is not announced.
            os.utime(project / "main.py", (2**31 + attempt, 2**31 + attempt))
            with suppress(AssertionError):
                server.stderr.wait_for("Reloading", timeout=2)
                break
        wait_ready(server, 2)
        assert ask(server) == b"two"
        assert "WARNING:  StatReload detected changes in 'main.py'. Reloading..." in server.stderr.text
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


@pytest.mark.differs_from_uvicorn("it imports the app in the loop when it reloads")
def test_module_may_run_a_loop_while_it_is_imported(serve_process: ServeProcess, project: Path) -> None:
    (project / "main.py").write_text("import asyncio\nasyncio.run(asyncio.sleep(0))\n" + APP.format("two"))
    with serve_process("main:app", "--reload", cwd=project) as server:
        assert server.stderr is not None
        server.stderr.wait_for(f"{READY}|Traceback")
        assert "Traceback" not in server.stderr.text
        assert ask(server) == b"two"


@needs_pidfd
@pytest.mark.differs_from_uvicorn("its child serves on, and keeps the port")
def test_child_ends_when_the_reloader_is_killed(serve_process: ServeProcess, project: Path) -> None:
    with serve_reloading(serve_process, project) as server:
        assert server.stderr is not None
        pids = [int(pid) for pid in re.findall(STARTED, server.stderr.text)]
        with watched(pids) as child:
            server.signal(signal.SIGKILL)
            child.wait_gone()


@needs_pidfd
@pytest.mark.differs_from_uvicorn("it waits for ever")
def test_second_sigint_kills_a_child_that_does_not_end(serve_process: ServeProcess, project: Path) -> None:
    slow = APP.format("").replace(
        "    await send", "    print('begun', flush=True)\n    await asyncio.sleep(60)\n    await send", 1
    )
    (project / "main.py").write_text("import asyncio\n" + slow)
    with serve_reloading(serve_process, project) as server, connect(server) as client:
        client.send(raw.request())
        assert server.stdout is not None
        server.stdout.wait_for("begun")
        assert server.stderr is not None
        server.signal(signal.SIGINT)
        server.stderr.wait_for("Waiting for connections to close")
        server.signal(signal.SIGINT)
        assert server.wait() == 0

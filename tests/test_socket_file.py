"""The file of a Unix socket: who removes it, and that somebody says when it is gone."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.apps import hello
from tests.conftest import Serve, ServeProcess

GONE = "was removed or replaced: open connections are served, but nobody can connect"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.differs_from_uvicorn("it says nothing")
def test_removed_file_is_said_once(serve_process: ServeProcess, tmp_path: Path, workers: str) -> None:
    path = tmp_path / "app.sock"
    arguments = ("--uds", str(path), "--workers", workers, "--lifespan", "off")
    with serve_process("tests.apps:hello", *arguments, wait=False, port=None) as server:
        assert server.stderr is not None
        server.stderr.wait_for(r"running on unix socket")
        server.stderr.wait_for_count(r"Started server process", int(workers))
        path.unlink()
        server.stderr.wait_for(GONE, timeout=15)
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert server.stderr.text.count(GONE) == 1, server.stderr.text


def test_file_of_another_server_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with serve(hello, uds=str(path)) as server:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            server.stop()
            server.join()
            assert path.exists()


def test_files_are_removed_at_the_end(serve_process: ServeProcess, tmp_path: Path) -> None:
    path, admin = tmp_path / "app.sock", tmp_path / "admin.sock"
    arguments = ("--uds", str(path), "--admin-bind", str(admin), "--workers", "2", "--lifespan", "off")
    with serve_process("tests.apps:hello", *arguments, wait=False, port=None) as server:
        assert server.stderr is not None
        server.stderr.wait_for_count(r"Started server process", 2)
        assert path.exists()
        assert admin.exists()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert os.listdir(tmp_path) == []

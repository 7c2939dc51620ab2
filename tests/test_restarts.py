"""Many servers, one after the other, in one process: nothing of them stays."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import bicorn
from tests.apps import Receive, Scope, Send, hello
from tests.processes import needs_proc
from tests.serving import REPOSITORY
from tests.tls import Authority

# After a hundred servers more. A server that stays is a thousand objects; what the allocator keeps differs by some MiB.
MOST_NEW_OBJECTS = 100
MOST_NEW_MEMORY_KIB = 6 * 1024


@needs_proc
@pytest.mark.parametrize(
    ("kind", "loop", "how"),
    [
        ("starlette", "asyncio", "thread"),
        ("starlette", "uvloop", "here"),
        ("plain", "asyncio", "here"),
        ("plain", "uvloop", "thread"),
        ("starlette over tls", "asyncio", "here"),
        ("starlette over tls", "uvloop", "thread"),
    ],
)
def test_a_hundred_servers_leave_nothing(kind: str, loop: str, how: str, tmp_path: Path) -> None:
    app, _, tls = kind.partition(" over ")
    pair = Authority(tmp_path).issue("127.0.0.1")
    command = [sys.executable, "-m", "tests.restarting", app, loop, how, "100"]
    if tls:
        command += [pair.certfile, pair.keyfile]
    # With an arena for each thread the allocator keeps more or less by chance.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=28
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = json.loads(done.stdout)
    # Descriptors, threads, those that Python knows, loops and servers.
    assert second[:5] == third[:5] == first[:5]
    assert first[3:5] == [0, 0]
    assert third[5] - second[5] < MOST_NEW_OBJECTS
    assert third[6] - second[6] < MOST_NEW_MEMORY_KIB, (first, second, third)


def test_a_closed_server_is_freed() -> None:
    freed = threading.Event()

    class App:
        def __del__(self) -> None:
            freed.set()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)

    app = App()
    server = bicorn.Server(bicorn.Config(app, port=0, log_config=None, lifespan="off", loop="asyncio"))
    thread = threading.Thread(target=server.run)
    server.should_exit = True
    thread.start()
    thread.join()
    state = server.server_state
    del app, server
    gc.collect()
    # Whoever keeps the numbers of a server does not keep its app.
    assert state.total_requests == 0
    assert freed.is_set()

"""Many servers, one after the other, in one process: nothing of them stays."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading

import pytest

import bicorn
from tests.apps import Receive, Scope, Send, hello
from tests.processes import needs_proc
from tests.serving import REPOSITORY


@needs_proc
@pytest.mark.parametrize("kind", ["starlette", "plain"])
def test_restarts_leave_no_descriptor_and_no_thread(kind: str) -> None:
    command = [sys.executable, "-m", "tests.restarting", kind]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=25)
    assert (done.returncode, done.stderr) == (0, "")
    before, after = json.loads(done.stdout)
    assert after == before


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

"""Programs that call uvicorn, unchanged, on bicorn: under `python -m bicorn.shim`, each with a client of its own.

They come from the environment in which the tests run, `target/venv-hosts`: `scripts/suites hosts` makes it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio_client
import httpx
import pytest
import websockets.sync.client
from mcp import Client

from tests.serving import ServedProcess

HOSTS = Path(__file__).resolve().parent / "hosts"
# gradio and nicegui import for seconds; on a busy machine, for many.
START_SECONDS = 60.0
SHIM = ("-m", "bicorn.shim")

pytestmark = pytest.mark.timeout(120)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(*arguments: str, cwd: Path = HOSTS, exit_code: int = -signal.SIGTERM) -> Iterator[ServedProcess]:
    """Run a program from entry to exit: `{port}` in its arguments is where it is to listen."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *(argument.replace("{port}", str(port)) for argument in arguments)],
        cwd=cwd,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    served = ServedProcess(process)
    served.port = port
    try:
        _wait_listening(served)
        yield served
    except BaseException:
        served.stop()
        assert served.stdout is not None
        assert served.stderr is not None
        print(served.stdout.text, served.stderr.text)
        raise
    assert served.stop() == exit_code


def _environment() -> dict[str, str]:
    # gradio asks for new versions of itself; nicegui is another one while pytest runs.
    added = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} | added


def _wait_listening(served: ServedProcess) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            served.connect().close()
            return
        except ConnectionRefusedError:
            assert served.process.poll() is None, "the program has ended"
            assert time.monotonic() < end, "nobody listens"
            # Nothing tells when: programs say where they run in words of their own, and some before they listen.
            time.sleep(0.01)


def ask(served: ServedProcess, path: str = "/") -> httpx.Response:
    response = httpx.get(f"{served.url}{path}", timeout=10)
    assert response.status_code == 200, response.text
    assert response.headers["server"] == "bicorn"
    return response


def wait_for_two_workers(served: ServedProcess) -> None:
    """Ask until two processes have answered."""
    pids = set()
    while len(pids) < 2:
        answer = ask(served).json()
        assert answer["server"] == "bicorn.server"
        pids.add(answer["pid"])
    assert served.pid not in pids


# FastAPI.


@pytest.mark.parametrize("how", [("-m", "fastapi"), ("fastapi",)], ids=["module", "command"])
def test_fastapi_run(how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    with running(*SHIM, *how, "run", "fastapi_app.py", "--port", "{port}") as served:
        assert ask(served).json() == {"pid": served.pid, "server": "bicorn.server"}


def test_fastapi_run_with_workers() -> None:
    with running(
        *SHIM, "-m", "fastapi", "run", "fastapi_app.py", "--port", "{port}", "--workers", "2", exit_code=0
    ) as served:
        wait_for_two_workers(served)


def test_fastapi_dev_reloads(tmp_path: Path) -> None:
    app = shutil.copy(HOSTS / "fastapi_app.py", tmp_path)
    with running(
        *SHIM, "-m", "fastapi", "dev", "fastapi_app.py", "--port", "{port}", cwd=tmp_path, exit_code=0
    ) as served:
        before = ask(served).json()
        assert before["pid"] != served.pid
        text = Path(app).read_text()
        Path(app).write_text(text.replace("uvicorn.Server.__module__", "'changed: ' + uvicorn.Server.__module__"))
        # Connections wait for the next process.
        while (after := ask(served).json())["pid"] == before["pid"]:
            pass
        assert after["server"] == "changed: bicorn.server"


def test_program_that_installs_the_shim_itself() -> None:
    with running("installing.py", "{port}", exit_code=0) as served:
        wait_for_two_workers(served)


# Programs that bring their own pages.


def test_gradio() -> None:
    with running(*SHIM, "gradio_app.py", "{port}") as served:
        assert "gradio" in ask(served).text
        client = gradio_client.Client(served.url, verbose=False)
        assert client.predict("World", api_name="/greet") == "Hello, World!"


@pytest.mark.parametrize(("more", "exit_code"), [((), -signal.SIGTERM), (("reload",), 0)], ids=["alone", "reload"])
def test_nicegui(more: tuple[str, ...], exit_code: int) -> None:
    with running(*SHIM, "nicegui_app.py", "{port}", *more, exit_code=exit_code) as served:
        page = ask(served).text
        assert "Hello from a page" in page
        # The page opens a WebSocket, of Socket.IO.
        scripts = re.findall(r'src="(/_nicegui/[^"]+\.js)"', page)
        assert scripts, page
        ask(served, scripts[0])
        query = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket&implicit_handshake=true"
        url = f"ws://{served.host}:{served.port}{query}"
        with websockets.sync.client.connect(url, origin=served.url) as page_socket:
            # The first packet of Engine.IO: the session.
            assert str(page_socket.recv(timeout=10)).startswith('0{"sid"')
            assert page_socket.response is not None
            assert page_socket.response.headers["server"] == "bicorn"


def test_mcp() -> None:
    async def use(url: str) -> object:
        async with Client(url, read_timeout_seconds=10) as client:
            result = await client.call_tool("add", {"a": 2, "b": 3})
            return result.structured_content

    with running(*SHIM, "mcp_app.py", "{port}") as served:
        assert asyncio.run(use(f"{served.url}/mcp")) == {"result": 5}
        assert httpx.get(f"{served.url}/nothing").headers["server"] == "bicorn"


# gunicorn.


@pytest.mark.parametrize("worker", ["uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker"])
def test_gunicorn(worker: str) -> None:
    arguments = ("fastapi_app:app", "-k", worker, "-b", "127.0.0.1:{port}", "-w", "2")
    with running(*SHIM, "-m", "gunicorn", *arguments, exit_code=0) as served:
        wait_for_two_workers(served)

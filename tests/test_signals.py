"""Signals: how a server ends, what becomes of the handlers that were there before, and that waiting costs nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest

from tests import processes, raw, serving
from tests.apps import hello
from tests.conftest import ServeProcess
from tests.serving import ServedProcess

APP = "tests.apps:hello"
HELD = "tests.fault_apps:held"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with serving.logging_restored():
        yield
    for number, handler in before.items():
        signal.signal(number, handler)


# A process of its own.


@pytest.mark.parity
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "none"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
def test_signal_ends_an_idle_server(serve_process: ServeProcess, loop: str, number: int, code: int) -> None:
    with serve_process(APP, "--loop", loop) as server, server.connect() as client:
        client.exchange(raw.request())
        server.signal(number)
        assert server.wait() == code
        server.stop()
    assert server.stderr is not None
    assert server.stderr.text.endswith(f"INFO:     Finished server process [{server.pid}]\n")


@pytest.mark.parity
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_signal_ends_a_server_that_never_had_a_request(serve_process: ServeProcess, loop: str) -> None:
    with serve_process(APP, "--loop", loop) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == -signal.SIGTERM


def begin_held_request(server: ServedProcess, client: raw.Client) -> None:
    client.send(raw.request("POST", headers=[("Content-Length", "1")]))
    assert server.stdout is not None
    server.stdout.wait_for("request begun")


@pytest.mark.parity
def test_second_sigterm_changes_nothing(serve_process: ServeProcess) -> None:
    with serve_process(HELD) as server, server.connect() as client:
        begin_held_request(server, client)
        assert server.stderr is not None
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("Waiting for connections to close.")
        server.signal(signal.SIGTERM)
        client.send(b"x")
        assert client.response().body == b"hello"
        assert server.wait() == -signal.SIGTERM


@pytest.mark.parity
def test_sigint_after_sigterm_ends_at_once(serve_process: ServeProcess) -> None:
    with serve_process(HELD, "--lifespan", "off") as server, server.connect() as client:
        begin_held_request(server, client)
        assert server.stderr is not None
        server.signal(signal.SIGTERM)
        server.stderr.wait_for("Waiting for connections to close.")
        server.signal(signal.SIGINT)
        # Both are raised again, SIGINT first. Python 3.10 ends with the KeyboardInterrupt that it makes; later ones
        # make it when `serve` has returned, and so come to SIGTERM.
        assert server.wait() == (-signal.SIGTERM if sys.version_info >= (3, 11) else 0)
        client.wait_closed()


@pytest.mark.parity
def test_signal_at_startup_waits_for_the_app_and_ends_the_server(serve_process: ServeProcess, tmp_path: Any) -> None:
    (tmp_path / "slow_app.py").write_text(
        "import os, signal\n"
        "from tests.apps import hello\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'lifespan':\n"
        "        return await hello(scope, receive, send)\n"
        "    await receive()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.shutdown.complete'})\n"
    )
    with serve_process("slow_app:app", "--app-dir", str(tmp_path)) as server:
        assert server.wait() == -signal.SIGTERM
        server.stop()
    assert server.stderr is not None
    assert "Application shutdown complete." in server.stderr.text


@pytest.mark.parity
def test_signal_that_nobody_handles_kills(serve_process: ServeProcess) -> None:
    with serve_process(APP) as server:
        server.signal(signal.SIGHUP)
        assert server.wait() == -signal.SIGHUP


@processes.needs_proc
@pytest.mark.differs_from_uvicorn("uvicorn looks around ten times a second")
def test_waiting_server_does_not_wake_up(serve_process: ServeProcess) -> None:
    with serve_process(APP) as server, server.connect() as client:
        client.exchange(raw.request())
        processes.wait_until_idle(server.pid)
        before = context_switches(server.pid)
        # Time is under test.
        assert client.silent_for(1.0)
        # An I/O thread may look at the clock for its deadlines.
        assert context_switches(server.pid)[server.pid] - before[server.pid] <= 1
        assert sum(context_switches(server.pid).values()) - sum(before.values()) <= 4


def context_switches(pid: int) -> dict[int, int]:
    """Return how often each thread has gone to sleep; the loop's has the process's own number."""
    return {task: int(fields["voluntary_ctxt_switches"]) for task, fields in statuses(pid).items()}


def statuses(pid: int) -> dict[int, dict[str, str]]:
    """Return what the kernel says about each thread."""
    tasks = (processes.PROC / str(pid) / "task").iterdir()
    lines = {int(task.name): (task / "status").read_text().splitlines() for task in tasks}
    return {task: dict(line.split(":\t", 1) for line in of_task if ":\t" in line) for task, of_task in lines.items()}


@processes.needs_proc
@pytest.mark.differs_from_uvicorn("uvicorn has no other threads")
def test_rust_threads_leave_signals_to_python(serve_process: ServeProcess) -> None:
    with serve_process(APP) as server:
        # A thread that is about to start blocks everything for a moment.
        processes.wait_until_idle(server.pid)
        blocked = {task: int(fields["SigBlk"], 16) for task, fields in statuses(server.pid).items()}
    term, fault = 1 << (signal.SIGTERM - 1), 1 << (signal.SIGSEGV - 1)
    assert not blocked.pop(server.pid) & term
    assert blocked
    assert all(mask & term and not mask & fault for mask in blocked.values()), blocked


# In the main thread of a program that has handlers of its own.


async def serve_until(server: Any, then: Callable[[], object]) -> None:
    """Serve in this loop and call `then` once the server is ready."""
    main_loop = server.main_loop

    async def call_and_loop() -> None:
        then()
        await main_loop()

    server.main_loop = call_and_loop
    await asyncio.wait_for(server.serve(), 10)


def make(module: ModuleType) -> Any:
    return module.Server(module.Config(hello, port=0, lifespan="off", log_config=None))


@pytest.mark.parity
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_former_handler_comes_back_and_gets_the_signal(module: ModuleType, number: int) -> None:
    received: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        received.append(number)

    async def main() -> None:
        signal.signal(number, handler)
        await serve_until(make(module), lambda: os.kill(os.getpid(), number))

    asyncio.run(main())
    assert received == [number]
    assert signal.getsignal(number) is handler


@pytest.mark.parity
def test_former_handlers_get_the_signals_last_one_first(module: ModuleType) -> None:
    received: list[int] = []

    async def main() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: received.append(number))

        def send_both() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)

        await serve_until(make(module), send_both)

    asyncio.run(main())
    assert received == [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parity
def test_handler_is_a_method_of_the_server(module: ModuleType) -> None:
    # sse-starlette finds the server this way.
    found: list[Any] = []

    async def main() -> None:
        server = make(module)

        def look_and_exit() -> None:
            found.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
            server.should_exit = True

        await serve_until(server, look_and_exit)
        assert [handler.__self__ for handler in found] == [server, server]

    asyncio.run(main())


@pytest.mark.parity
def test_replaced_handle_exit_is_called(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[int] = []
    original = module.Server.handle_exit

    def handle_exit(self: Any, sig: int, frame: FrameType | None) -> None:
        received.append(sig)
        original(self, sig, frame)

    monkeypatch.setattr(module.Server, "handle_exit", handle_exit)

    async def main() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await serve_until(make(module), lambda: signal.raise_signal(signal.SIGTERM))

    asyncio.run(main())
    assert received == [signal.SIGTERM]


@pytest.mark.parity
def test_second_sigint_forces_the_exit(module: ModuleType) -> None:
    server = make(module)
    for number, expected in [
        (signal.SIGINT, (True, False)),
        (signal.SIGTERM, (True, False)),
        (signal.SIGINT, (True, True)),
    ]:
        server.handle_exit(number, None)
        assert (server.should_exit, server.force_exit) == expected


@pytest.mark.parity
def wakeup_fd() -> int:
    """Return what a signal writes to: without one, a loop that is about to sleep may not notice it."""
    number = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(number)
    return number


def wakeup_fd_of(module: ModuleType) -> int:
    """Return it while the server serves."""
    server = make(module)
    seen: list[int] = []

    def look_and_end() -> None:
        seen.append(wakeup_fd())
        server.should_exit = True

    asyncio.run(serve_until(server, look_and_end))
    return seen[0]


@pytest.mark.differs_from_uvicorn("it wakes up ten times a second anyway")
def test_signal_wakes_the_loop_wherever_it_is(module: ModuleType) -> None:
    assert wakeup_fd_of(module) != -1
    assert wakeup_fd() == -1


def test_wakeup_of_others_is_left_alone(module: ModuleType) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        try:
            assert wakeup_fd_of(module) == theirs.fileno()
            assert wakeup_fd() == theirs.fileno()
        finally:
            signal.set_wakeup_fd(-1)


def test_other_threads_have_no_handlers(module: ModuleType) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    async def main() -> None:
        server = make(module)

        def look_and_exit() -> None:
            seen.append(signal.getsignal(signal.SIGTERM))
            server.should_exit = True

        await serve_until(server, look_and_exit)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(10)
    assert seen == [before]

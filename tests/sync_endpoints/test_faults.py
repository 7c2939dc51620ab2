"""Endpoints that end badly or not at all, shutdown while they run, and apps that change while they are served."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

import pytest

from tests import raw
from tests.processes import needs_proc, threads
from tests.serving import Served, ServedProcess
from tests.sync_endpoints.apps_connections import gates
from tests.sync_endpoints.apps_faults import make_app
from tests.sync_endpoints.conftest import ServeMode, ServeModeProcess
from tests.sync_endpoints.families import note

APP = "tests.sync_endpoints.apps_faults:app"


def ask(server: Served | ServedProcess, target: str) -> raw.Response:
    with server.connect() as client:
        return client.exchange(raw.request(target=target, headers=[("Connection", "close")]))


def assert_serves(server: Served | ServedProcess) -> None:
    assert [ask(server, target).body for target in ("/hello", "/async")] == [b'"hello"', b'"async"']


# More of them than there are threads: none may be lost. Of the deep one fewer, for its traceback takes its time.
BAD_ENDS = {"/raise": 60, "/exit": 60, "/interrupt": 60, "/deep": 3}


@pytest.mark.parametrize(("target", "count"), BAD_ENDS.items())
def test_endpoint_that_ends_badly_costs_its_request_only(target: str, count: int, serve_mode: ServeMode) -> None:
    with serve_mode(make_app()) as server:
        assert [ask(server, target).status for _ in range(count)] == [500] * count
        assert_serves(server)


def test_endpoints_that_block_for_ever_do_not_stop_others(serve_mode: ServeMode) -> None:
    names = [f"for ever {number}".replace(" ", "-") for number in range(20)]
    with serve_mode(make_app()) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in names]
        for client, name in zip(clients, names, strict=True):
            client.send(raw.request(target=f"/held/{name}"))
        for name in names:
            note.wait_for(f"waiting {name}")
        for _ in range(50):
            assert_serves(server)
        for name in names:
            gates.get(name).set()
        assert [client.response().status for client in clients] == [200] * len(names)


# Shutdown


def test_requests_in_flight_are_answered_before_the_end(serve_mode: ServeMode) -> None:
    with serve_mode(make_app()) as server, server.connect() as client:
        client.send(raw.request(target="/held/drain"))
        note.wait_for("waiting drain")
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        gates.get("drain").set()
        response = client.response()
        assert (response.status, response.body) == (200, b'"drain"')
        server.join()


@pytest.mark.modes("auto", "pool")
def test_requests_that_wait_for_a_thread_are_answered_before_the_end(serve_mode: ServeMode) -> None:
    names = [f"queued-{number}" for number in range(4)]
    with serve_mode(make_app(), endpoint_threads=1) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in names]
        clients[0].send(raw.request(target=f"/held/{names[0]}"))
        note.wait_for(f"waiting {names[0]}")
        for client, name in zip(clients[1:], names[1:], strict=True):
            client.send(raw.request(target=f"/held/{name}"))
        # An answer behind them in the same thread of the server shows that they have arrived.
        assert ask(server, "/async").status == 200
        server.stop()
        server.logs.wait_for("Waiting for connections to close.")
        for name in names:
            gates.get(name).set()
        assert [client.response().status for client in clients] == [200] * len(names)
        server.join()


def test_sigterm_drains_endpoints(serve_mode_process: ServeModeProcess) -> None:
    with serve_mode_process(APP, "--no-access-log") as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(5)]
        for client in clients:
            client.send(raw.request(target="/slow"))
        assert server.stdout is not None
        server.stdout.wait_for(r"(slow\s+){5}")
        server.signal(signal.SIGTERM)
        assert [client.response().body for client in clients] == [b'"slow"'] * 5
        assert server.wait() == -signal.SIGTERM


# Under uvicorn, and with anyio's own threads, both wait for ever: no thread can be ended from outside.
@pytest.mark.modes("auto", "pool")
def test_graceful_timeout_ends_a_server_whose_endpoint_blocks(serve_mode: ServeMode) -> None:
    with serve_mode(make_app(), timeout_graceful_shutdown=1) as server, server.connect() as client:
        client.send(raw.request(target="/held/stuck"))
        note.wait_for("waiting stuck")
        since = time.monotonic()
        try:
            server.stop()
            received = client.wait_closed(6)
            server.join(6)
        finally:
            gates.get("stuck").set()
        seconds = time.monotonic() - since
        messages = server.logs.messages
    assert received == b"" or received.startswith(b"HTTP/1.1 500 ")
    assert 1 <= seconds < 5
    assert any("held" in message for message in messages), messages


@pytest.mark.modes("auto", "pool")
def test_sigterm_ends_a_process_whose_endpoint_blocks(serve_mode_process: ServeModeProcess) -> None:
    with serve_mode_process(APP, "--timeout-graceful-shutdown", "1") as server, server.connect() as client:
        client.send(raw.request(target="/held/process"))
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.wait_for("held process")
        server.signal(signal.SIGTERM)
        received = client.wait_closed(6)
        code = server.wait(6)
        server.stderr.wait_for("held")
    assert received == b"" or received.startswith(b"HTTP/1.1 500 ")
    assert code == -signal.SIGTERM


@pytest.mark.modes("auto", "pool")
def test_second_interrupt_ends_a_process_whose_endpoint_blocks(serve_mode_process: ServeModeProcess) -> None:
    with serve_mode_process(APP) as server, server.connect() as client:
        client.send(raw.request(target="/held/process"))
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.wait_for("held process")
        server.signal(signal.SIGINT)
        server.stderr.wait_for("Waiting for connections to close")
        server.signal(signal.SIGINT)
        # As after any SIGINT: uvicorn takes the KeyboardInterrupt for an end as it should be.
        assert server.wait(6) == 0


@needs_proc
@pytest.mark.modes("auto", "pool")
def test_a_hundred_servers_leave_no_thread(serve_mode: ServeMode) -> None:
    def cycle() -> None:
        with serve_mode(make_app(), attach_error=False, attach_access=False) as server:
            assert_serves(server)

    cycle()
    before = threads(os.getpid())
    for _ in range(100):
        cycle()
    end = time.monotonic() + 5
    while (after := threads(os.getpid())) > before and time.monotonic() < end:
        # The kernel's list is a moment behind a join.
        time.sleep(0.01)
    assert after <= before

"""bicorn behind nginx and HAProxy, as docs/deployment/proxies.md has them: what arrives, and restarts under load."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests import raw
from tests.raw_websocket import connect
from tests.serving import REPOSITORY, ServedProcess, serve_process
from tests.suites import proxies
from tests.supervisors.load import KINDS, Load, load

pytestmark = pytest.mark.timeout(60)

APP = "tests.suites.proxies_app:app"
# Not one of those that are trusted by default, as 127.0.0.1 is.
CLIENT = "127.0.0.2"
SPOOFED = "192.0.2.7"
UPLOAD = bytes(range(256)) * 12 * 1024
# Enough that each restart happens under load.
ANSWERS = 500
CLIENTS = {"kept alive": 4, "closed": 2, "posted": 2}
# For an end that closes idle connections at once: a proxy repeats what met that, but not a POST.
REPEATABLE = {"kept alive": 4, "closed": 4}
TRUSTING = ("--forwarded-allow-ips", "*")

KINDS_OF_PROXY = ["nginx", "nginx unix", "haproxy", "haproxy unix", "haproxy h2"]
NO_CHECKS = {
    "    option httpchk GET /readyz\n": "",
    "    default-server check inter 2s fall 2 rise 1\n": "",
    "    server app2 127.0.0.1:8001 port 9001\n": "",
}
# What the page says about a proxy that everybody behind it trusts: it replaces the header.
REPLACES = {
    "nginx": {"$proxy_add_x_forwarded_for": "$remote_addr"},
    "haproxy": {
        "    option forwardfor\n": "",
        "frontend web\n": "frontend web\n    http-request set-header X-Forwarded-For %[src]\n",
    },
}


def proxy_to(kind: str, server: ServedProcess, folder: Path, uds: str) -> contextlib.AbstractContextManager[int]:
    """Run a proxy in front of one server."""
    name, _, how = kind.partition(" ")
    if name == "nginx":
        if how == "unix":
            there = proxies.line("server unix:").replace("/run/app/app.sock", uds)
            return proxies.nginx(folder, {"server 127.0.0.1:8000;": there, **REPLACES["nginx"]})
        return proxies.nginx(folder, {"127.0.0.1:8000": f"127.0.0.1:{server.port}"})
    first = "server app1 127.0.0.1:8000 port 9000"
    if how == "unix":
        there = proxies.line("server app1 unix@").replace("/run/app/app.sock", uds)
        return proxies.haproxy(folder, {**NO_CHECKS, first: there, **REPLACES["haproxy"]})
    there = f"server app1 127.0.0.1:{server.port}" + (" proto h2" if how == "h2" else "")
    return proxies.haproxy(folder, {**NO_CHECKS, first: there})


@pytest.fixture(scope="module", params=KINDS_OF_PROXY)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def port(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("proxy")
    uds = str(folder / "app.sock")
    with contextlib.ExitStack() as stack:
        if kind.endswith("unix"):
            server = stack.enter_context(serve_process(APP, "--uds", uds, *TRUSTING, port=None, wait=False))
            assert server.stderr is not None
            server.stderr.wait_for("running on unix socket")
        else:
            server = stack.enter_context(serve_process(APP))
        yield stack.enter_context(proxy_to(kind, server, folder, uds))


def ask(port: int, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask once, from the address `CLIENT`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10, source_address=(CLIENT, 0))
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()


def test_app_sees_the_client(port: int, kind: str) -> None:
    status, content = ask(port, "/scope", headers={"X-Forwarded-For": SPOOFED, "Host": "example.com:8080"})
    seen = json.loads(content)
    version = "2" if kind.endswith("h2") else "1.1"
    assert status == 200
    assert seen == {"client": CLIENT, "port": 0, "scheme": "http", "version": version, "host": "example.com:8080"}


def test_upload_comes_back(port: int) -> None:
    assert ask(port, "/", body=UPLOAD) == (200, UPLOAD)


def test_stream_is_not_held_back(port: int) -> None:
    with raw.Client(port=port) as client:
        client.send(raw.request(target="/events"))
        head = client.response_head()
        assert head.status == 200
        # The stream goes on: what is here was not waiting for its end.
        assert b"data: 1\n\n" in client.exactly(len(b"9\r\ndata: 1\n\n"))


def test_websocket_echoes(port: int) -> None:
    with connect("127.0.0.1", port, "/ws") as websocket:
        for message in ("hello", "x" * 100_000):
            websocket.send(message)
            assert websocket.read() == message
        websocket.send_close(1000)


def test_connections_to_the_server_are_used_again(kind: str, tmp_path: Path) -> None:
    if kind.endswith("unix"):
        pytest.skip("a peer there has no port to tell connections by")
    with (
        serve_process(APP, "--no-proxy-headers") as server,
        proxy_to(kind, server, tmp_path, "") as port,
        raw.Client(port=port) as client,
    ):
        seen = [json.loads(client.exchange(raw.request(target="/scope")).body) for _ in range(3)]
    assert len({one["port"] for one in seen}) == 1, seen


# Restarts.


def posted(load: Load) -> Iterator[None]:
    """Post on one connection: what no proxy may send twice."""
    with raw.Client(load.host, load.port) as client:
        while True:
            response = client.exchange(raw.request("POST", body=load.expected))
            if (response.status, response.body) != (200, load.expected):
                raise AssertionError(f"answered with {response.status} {response.body[:80]!r}")
            yield
            if response.closes:
                return


Loaded = Callable[[int, dict[str, int]], contextlib.AbstractContextManager[Load]]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Load on a port: so many clients of each kind."""
    monkeypatch.setitem(KINDS, "posted", posted)
    return load


def more(current: Load) -> None:
    """Wait for some more answers."""
    current.wait_for(current.total + ANSWERS, timeout=20)


def logged(server: ServedProcess, line: str, times: int) -> None:
    """Wait until the server has logged a line so many times."""
    assert server.stderr is not None
    server.stderr.wait_for("(?s)" + ".*".join([line] * times))


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_sighup_fails_no_request(kind: str, tmp_path: Path, loaded: Loaded) -> None:
    # Longer than HAProxy keeps connections.
    options = ("--workers", "2", *(("--timeout-keep-alive", "75") if kind == "haproxy" else ()))
    with serve_process(APP, *options) as server, proxy_to(kind, server, tmp_path, "") as port:
        logged(server, "Application startup complete", 2)
        with loaded(port, CLIENTS) as current:
            for rolls in (1, 2):
                more(current)
                server.signal(signal.SIGHUP)
                logged(server, "Finished server process", 2 * rolls)
            more(current)
    assert current.failures == []


def test_restart_on_a_socket_that_stays_fails_no_request(tmp_path: Path, loaded: Loaded) -> None:
    # It outlives the servers, as systemd's sockets do.
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, contextlib.ExitStack() as servers:
        server = servers.enter_context(_serve_on(listener))
        with proxy_to("nginx", server, tmp_path, "") as port, loaded(port, REPEATABLE) as current:
            for _ in range(2):
                more(current)
                server.stop()
                server = servers.enter_context(_serve_on(listener))
            more(current)
    assert current.failures == []


@contextlib.contextmanager
def _serve_on(listener: socket.socket) -> Iterator[ServedProcess]:
    descriptor = listener.fileno()
    process = subprocess.Popen(
        [sys.executable, "-m", "bicorn", APP, "--fd", str(descriptor), "--no-access-log"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[descriptor],
    )
    server = ServedProcess(process)
    server.port = listener.getsockname()[1]
    try:
        yield server
    finally:
        server.stop()


def test_services_that_are_restarted_in_turn_fail_no_request(tmp_path: Path, loaded: Loaded) -> None:
    ports = {number: proxies.free_port() for number in ("8000", "8001", "9000", "9001")}
    there = {f"127.0.0.1:{port}": f"127.0.0.1:{ports[port]}" for port in ("8000", "8001")}
    checks = {f"port {port}": f"port {ports[port]}" for port in ("9000", "9001")}
    services = [(ports["8000"], ports["9000"]), (ports["8001"], ports["9001"])]
    quick = {"inter 2s": "inter 100ms"}
    with contextlib.ExitStack() as servers:
        running = [servers.enter_context(_service(*one)) for one in services]
        with proxies.haproxy(tmp_path, {**there, **checks, **quick}) as port, loaded(port, CLIENTS) as current:
            for server, one in zip(running, services, strict=True):
                more(current)
                server.stop()
                more(current)
                servers.enter_context(_service(*one))
            more(current)
    assert current.failures == []


@contextlib.contextmanager
def _service(port: int, admin_port: int) -> Iterator[ServedProcess]:
    # As on the page, but for the ports, and the time that the checks need here.
    options = ("--admin-bind", f"127.0.0.1:{admin_port}", "--drain-delay", "1", "--timeout-keep-alive", "75")
    with serve_process(APP, *options, port=port) as server:
        yield server

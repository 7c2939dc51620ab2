"""bicorn's worker under gunicorn: sockets, settings, logs, and what users override."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import raw
from tests.suites.arbiter import VERSIONS, Arbiter, answer, arbiter
from tests.tls import Authority, connect

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The gunicorn under test."""
    found: str = request.param
    return found


# Sockets.


def test_several_binds_are_served(version: str, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    binds = ["--bind=127.0.0.1:0", "--bind=127.0.0.1:0", f"--bind=unix:{path}"]
    with arbiter(version, tmp_path, *binds) as running:
        first, second = running.ports
        for port in (first, second):
            with raw.Client(port=port) as client:
                assert answer(client)["client"][0] == "127.0.0.1"
        with raw.Client(uds=str(path)) as client:
            assert answer(client)["client"] is None
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert not path.exists()


def test_each_worker_has_sockets_of_its_own_with_reuse_port(version: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        # Kept so that nobody else is given the port; it does not listen, so connections go to the worker.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with (
            arbiter(version, tmp_path, "--reuse-port", f"--bind=127.0.0.1:{port}") as running,
            raw.Client(port=port) as client,
        ):
            assert answer(client)["pid"] in running.workers


def test_https(version: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    with (
        arbiter(version, tmp_path, "--certfile", pair.certfile, "--keyfile", pair.keyfile) as running,
        connect(running.port, authority.client_context()) as client,
    ):
        assert answer(client)["scheme"] == "https"


def test_client_certificates_are_asked_for(version: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, own = authority.issue("localhost"), authority.issue("client.example")
    options = ["--certfile", pair.certfile, "--keyfile", pair.keyfile, "--ca-certs", authority.certfile]
    with arbiter(version, tmp_path, *options, "--cert-reqs", "2") as running:
        with connect(running.port, authority.client_context(own)) as client:
            assert answer(client)["scheme"] == "https"
        # In TLS 1.3 a client hears of it after its handshake.
        with (
            pytest.raises(OSError, match="certificate required"),
            connect(running.port, authority.client_context()) as client,
        ):
            answer(client)


# Settings.


def test_trusted_proxies_are_those_of_gunicorn(version: str, tmp_path: Path) -> None:
    forwarded = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")]
    with arbiter(version, tmp_path) as running:
        said = running.ask(headers=forwarded)
        assert (said["client"][0], said["scheme"]) == ("192.0.2.7", "https")
    (tmp_path / "strict").mkdir()
    with arbiter(version, tmp_path / "strict", "--forwarded-allow-ips", "10.0.0.5") as running:
        said = running.ask(headers=forwarded)
        assert (said["client"][0], said["scheme"]) == ("127.0.0.1", "http")


def test_config_kwargs_win(version: str, tmp_path: Path) -> None:
    worker = "tests.suites.gunicorn_app.PrefixWorker"
    with arbiter(version, tmp_path, "-k", worker, "--keep-alive", "60") as running, running.connect() as client:
        assert answer(client)["root_path"] == "/prefix"
        # The keep-alive of one second.
        assert client.read_until_closed() == b""


def test_limits_count_where_they_are_set(version: str, tmp_path: Path) -> None:
    long = "/" + "x" * 10_000
    with arbiter(version, tmp_path) as running:
        # gunicorn's own limit is 4,094; its default is not taken over.
        running.ask(long)
    (tmp_path / "strict").mkdir()
    limits = ["--limit-request-line", "1000", "--limit-request-fields", "5"]
    with arbiter(version, tmp_path / "strict", *limits) as running:
        with running.connect() as client:
            assert client.exchange(raw.request(target=long)).status == 414
        with running.connect() as client:
            fields = [(f"X-{number}", "1") for number in range(6)]
            assert client.exchange(raw.request(headers=fields)).status == 431


def test_settings_without_effect_are_told(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, config="threads = 4\nproxy_protocol = True\n") as running:
        told = re.findall(r"\[WARNING\] setting has no effect with BicornWorker: (\w+):", running.log_text)
    assert told == ["proxy_protocol", "threads"]


def test_application_is_imported_once_with_preload(version: str, tmp_path: Path) -> None:
    (tmp_path / "counted.py").write_text(
        "from tests.suites.gunicorn_app import app\nprint('here it comes', flush=True)\n", encoding="utf-8"
    )
    with arbiter(version, tmp_path, "--preload", app="counted:app", workers=2) as running:
        running.ask()
        assert running.log_text.count("here it comes") == 1


# Logs.


def test_logs_are_gunicorns_and_are_opened_again(version: str, tmp_path: Path) -> None:
    access, error = tmp_path / "access.log", tmp_path / "error.log"
    options = ["--access-logfile", str(access), "--error-logfile", str(error)]
    with arbiter(version, tmp_path, *options, is_ready=False) as started:
        running = Arbiter(started.process, error)
        running.wait_until(error.exists, "the error log is there")
        running.wait_for(r"\[\d+\] \[INFO\] Application startup complete\.")
        running.ask("/first")
        running.wait_until(lambda: "/first" in access.read_text(), "the access line is there")
        assert re.fullmatch(r'127\.0\.0\.1:\d+ - "GET /first HTTP/1\.1" 200\n', access.read_text())

        # As logrotate does.
        access.rename(tmp_path / "access.log.1")
        error.rename(tmp_path / "error.log.1")
        running.signal(signal.SIGUSR1)
        # The arbiter opens both, and then tells the workers; each looks when its loop turns.
        running.wait_until(access.exists, "the access log was opened again")
        worker = running.workers[0]
        running.wait_until(lambda: str(access) in _open_files(worker), "the worker has opened the access log")
        running.ask("/second")
        running.wait_until(lambda: "/second" in access.read_text(), "the access line is in the new file")
        assert "/second" not in (tmp_path / "access.log.1").read_text()
        assert running.workers == [worker]


def test_levels_are_gunicorns(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, "--log-level", "warning", is_ready=False) as running:
        # Nothing in the log says where it listens.
        running.wait_until(lambda: bool(running.workers), "there is a worker")
        worker = running.workers[0]
        running.wait_until(lambda: _has_name(worker, "bicorn-io-0"), "the worker serves")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert running.log_text == ""


# What users override.


def test_methods_of_uvicorns_worker_can_be_overridden(version: str, tmp_path: Path) -> None:
    with arbiter(version, tmp_path, "-k", "tests.suites.gunicorn_app.TellingWorker") as running:
        running.wait_for("overridden: callback_notify", 2)
        called = list(dict.fromkeys(re.findall(r"overridden: (\w+)", running.log_text)))
    expected = ["init_process", "init_signals", "run", "_serve", "_install_sigquit_handler", "callback_notify"]
    assert called == expected


def test_hooks_are_called(version: str, tmp_path: Path) -> None:
    hooks = {"post_fork": "server, worker", "post_worker_init": "worker", "worker_exit": "server, worker"}
    config = "".join(f"def {name}({them}):\n    print('hook {name}', flush=True)\n" for name, them in hooks.items())
    with arbiter(version, tmp_path, config=config) as running:
        running.ask()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
    assert re.findall(r"hook (\w+)", running.log_text) == list(hooks)


def test_hook_may_end_a_worker(version: str, tmp_path: Path) -> None:
    config = "\n".join(
        [
            "import threading",
            "def post_worker_init(worker):",
            "    if worker.age == 1:",
            "        threading.Timer(1.0, setattr, (worker, 'alive', False)).start()",
        ]
    )
    with arbiter(version, tmp_path, config=config) as running:
        first = running.workers[0]
        running.wait_for(f"Worker exiting \\(pid: {first}\\)")
        running.wait_for("Application startup complete", 2)
        assert running.ask()["pid"] != first


def _open_files(pid: int) -> set[str]:
    files = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            files.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return files


def _has_name(pid: int, thread: str) -> bool:
    try:
        names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return False
    return thread in names


def test_reload_shows_the_new_code_and_survives_a_syntax_error(version: str, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"

    def write(text: str) -> None:
        # In one step: an import must not meet half of it.
        new = module.with_suffix(".new")
        new.write_text(f"from tests.apps import responder\napp = responder({text})\n")
        os.replace(new, module)

    def served() -> raw.Response:
        # While its one worker is replaced, a connection waits in the queue of the socket.
        with running.connect() as client:
            return client.exchange(raw.request())

    def write_until(text: str, is_shown: Callable[[raw.Response], bool]) -> Callable[[], bool]:
        """Write again as long as it is not shown: gunicorn does not notice a change before its first look."""

        def look() -> bool:
            if is_shown(served()):
                return True
            write(text)
            return False

        return look

    write("b'one'")
    with arbiter(version, tmp_path, "--reload", app="changing:app") as running:
        assert served().body == b"one"
        two = write_until("b'two, and longer'", lambda response: response.body == b"two, and longer")
        running.wait_until(two, "the new code answers")
        three = write_until("b'three", lambda response: response.status == 500)
        running.wait_until(three, "the error is shown")
        assert b"load_wsgi" in served().body
        four = write_until("b'four'", lambda response: response.body == b"four")
        running.wait_until(four, "the repaired code answers")

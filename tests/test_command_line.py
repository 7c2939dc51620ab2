"""`python -m bicorn` and `bicorn.run`: what is printed where, and with which exit code the process ends."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import bicorn
from tests import raw
from tests.conftest import ServeProcess
from tests.serving import REPOSITORY

APP = "tests.apps:hello"


def run(*arguments: str, code: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m bicorn`, or `python -c`, that ends by itself."""
    command = ["-m", "bicorn", *arguments] if code is None else ["-c", code]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BICORN_", "UVICORN_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=20,
    )


# What is printed instead of serving.


def test_version_is_printed_on_stdout() -> None:
    result = run("--version")
    line = rf"Running bicorn {re.escape(bicorn.__version__)} with \w+ 3\.\d+\.\d+\S* on \w+\n"
    assert re.fullmatch(line, result.stdout)
    assert (result.returncode, result.stderr) == (0, "")


def test_help_is_printed_on_stdout() -> None:
    result = run("--help")
    assert "--timeout-graceful-shutdown" in result.stdout
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "APP"),
        ((APP, "--no-such-option"), "--no-such-option"),
        ((APP, "--port", "eighty"), "eighty"),
        ((APP, "--port", "65536"), "65536"),
        ((APP, "--log-level", "loud"), "loud"),
        ((APP, "--header", "no colon"), "no colon"),
        ((APP, "--log-config", "no-such-file.json"), "no-such-file.json"),
        ((APP, "--env-file", "no-such-file.env"), "no-such-file.env"),
    ],
)
def test_wrong_command_line_is_explained_on_stderr_with_exit_2(arguments: tuple[str, ...], text: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_environment_is_explained() -> None:
    result = run(APP, UVICORN_PORT="eighty")
    assert result.returncode == 2
    assert "UVICORN_PORT" in result.stderr


def test_main_takes_arguments_in_place_of_the_process() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as raised:
        bicorn.main(["--version"])
    assert raised.value.code == 0
    assert stdout.getvalue().startswith("Running bicorn ")
    with redirect_stderr(stderr), pytest.raises(SystemExit) as raised:
        bicorn.main([])
    assert raised.value.code == 2
    assert stderr.getvalue()


# Starts that fail: exit code 3, and the last line says why.


def taken_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("no_such_module:app",), 'ERROR:    Error loading ASGI app. Could not import module "no_such_module".'),
        (
            ("tests.apps:nothing",),
            'ERROR:    Error loading ASGI app. Attribute "nothing" not found in module "tests.apps".',
        ),
        (
            ("tests.apps",),
            'ERROR:    Error loading ASGI app. Import string "tests.apps" must be in format "<module>:<attribute>".',
        ),
        (
            (APP, "--loop", "no_such_module:factory"),
            'ERROR:    Error loading custom loop setup function. Could not import module "no_such_module".',
        ),
        ((APP, "--lifespan", "on"), "ERROR:    Application startup failed. Exiting."),
        ((APP, "--fd", "987"), "ERROR:    cannot listen on fd 987: bad file descriptor"),
        (
            (APP, "--uds", "/no/such/socket"),
            "ERROR:    cannot bind unix socket /no/such/socket: no such file or directory",
        ),
    ],
)
def test_start_that_fails_exits_with_3_and_says_why(arguments: tuple[str, ...], line: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.splitlines()[-1] == line


def test_port_in_use_exits_with_3() -> None:
    with taken_port() as taken:
        port = taken.getsockname()[1]
        result = run(APP, "--port", str(port))
    assert result.returncode == 3
    reason = (
        rf"ERROR:    \[Errno \d+\] error while attempting to bind on address \('127.0.0.1', {port}\): address .*in use"
    )
    assert re.fullmatch(reason, result.stderr.splitlines()[-1])


@pytest.mark.parametrize(("name", "content"), [("log.json", "{"), ("log.ini", "x"), ("log.yaml", "a: [")])
def test_unusable_log_config_is_one_line_and_exit_3(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    result = run(APP, "--log-config", str(path))
    assert (result.returncode, result.stdout) == (3, "")
    assert re.fullmatch(rf"cannot use --log-config {re.escape(str(path))}: .+\n", result.stderr)


def test_impossible_option_of_run_is_one_line_and_exit_3() -> None:
    result = run(code=f"import bicorn; bicorn.run({APP!r}, port=70_000)")
    assert result.returncode == 3
    assert re.fullmatch(r"ERROR:    .*70000.*port.*\n", result.stderr)


def test_import_error_inside_the_app_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("import no_such_dependency\n")
    result = run("broken_app:app", "--app-dir", str(tmp_path))
    assert result.returncode == 3
    assert "broken_app.py" in result.stderr
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_dependency'"


def test_file_in_the_place_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("important")
    result = run(APP, "--uds", str(tmp_path / "notes.txt"))
    assert result.returncode == 3
    assert (tmp_path / "notes.txt").read_text() == "important"


# Starts that succeed.


@pytest.mark.parity
def test_lines_of_a_whole_life_and_their_streams(serve_process: ServeProcess, server_name: str) -> None:
    with serve_process(APP, "--lifespan", "off") as server, server.connect() as client:
        client.exchange(raw.request())
        address = "{}:{}".format(*client.address)
        port, pid = server.port, server.pid
        server.stop()
    assert server.stdout is not None
    assert server.stderr is not None
    assert server.stdout.text == f'INFO:     {address} - "GET / HTTP/1.1" 200 OK\n'
    assert server.stderr.text.splitlines() == [
        f"INFO:     Started server process [{pid}]",
        f"INFO:     {server_name.capitalize()} running on http://127.0.0.1:{port} (Press CTRL+C to quit)",
        "INFO:     Shutting down",
        f"INFO:     Finished server process [{pid}]",
    ]


@pytest.mark.parity
def test_modules_are_found_in_the_current_directory_and_in_app_dir(serve_process: ServeProcess, tmp_path: Path) -> None:
    (tmp_path / "my_app.py").write_text("from tests.apps import hello as app\n")
    environment = {"PYTHONPATH": str(REPOSITORY)}
    with serve_process("my_app:app", cwd=tmp_path, environment=environment) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"
    with serve_process("my_app:app", "--app-dir", str(tmp_path)) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.parity
def test_app_is_imported_in_the_main_thread_before_there_is_a_loop(serve_process: ServeProcess, tmp_path: Path) -> None:
    (tmp_path / "my_app.py").write_text(
        "import asyncio, threading\n"
        "assert threading.current_thread() is threading.main_thread()\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "from tests.apps import hello as app\n"
    )
    with serve_process("my_app:app", "--app-dir", str(tmp_path)) as server, server.connect() as client:
        assert client.exchange(raw.request()).body == b"hello"


@pytest.mark.parity
def test_options_reach_the_server(serve_process: ServeProcess) -> None:
    arguments = ("--header", "X-Own:1:2", "--no-server-header", "--no-date-header", "--no-access-log")
    with serve_process(APP, *arguments) as server, server.connect() as client:
        response = client.exchange(raw.request())
        server.stop()
    assert [name.lower() for name, _ in response.headers] == [b"x-own", b"content-length"]
    assert response.header(b"x-own") == b"1:2"
    assert server.stdout is not None
    assert server.stdout.text == ""


@pytest.mark.parametrize(
    "prefix",
    [pytest.param("BICORN", marks=pytest.mark.differs_from_uvicorn("uvicorn has one prefix")), "UVICORN"],
)
def test_options_may_come_from_the_environment(serve_process: ServeProcess, prefix: str) -> None:
    environment = {f"{prefix}_HEADERS": "x-a:1 x-b:2", f"{prefix}_SERVER_HEADER": "false"}
    with serve_process(APP, environment=environment) as server, server.connect() as client:
        response = client.exchange(raw.request())
    assert (response.header(b"x-a"), response.header(b"x-b"), response.all(b"server")) == (b"1", b"2", [])


@pytest.mark.parity
def test_colours_may_be_forced(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--use-colors") as server, server.connect() as client:
        client.exchange(raw.request())
        server.stop()
    assert server.stdout is not None
    assert server.stderr is not None
    assert server.stdout.text.startswith("\033[32mINFO\033[0m:     ")
    assert "\033[32mINFO\033[0m:     Started server process [\033[36m" in server.stderr.text


@pytest.mark.parity
def test_log_level_silences(serve_process: ServeProcess, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serve_process(APP, "--log-level", "warning", "--uds", str(path), wait=False) as server:
        while not path.exists():
            assert server.process.poll() is None
        server.stop()
    assert server.stdout is not None
    assert server.stderr is not None
    assert (server.stdout.text, server.stderr.text) == ("", "")


@pytest.mark.parity
def test_unix_socket_is_gone_at_the_end(serve_process: ServeProcess, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serve_process(APP, "--uds", str(path), wait=False) as server:
        assert server.stderr is not None
        server.stderr.wait_for(r"running on unix socket .* \(Press CTRL\+C to quit\)")
        with raw.Client(uds=str(path)) as client:
            assert client.exchange(raw.request()).body == b"hello"
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    assert not path.exists()


@pytest.mark.parity
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_the_app_prints_is_not_held_back(serve_process: ServeProcess, tmp_path: Path, unbuffered: str) -> None:
    # uvicorn's access log flushes stdout with each line, so prints show up in `docker logs` at once.
    (tmp_path / "printing.py").write_text(
        "from tests.apps import hello\n"
        "async def app(scope, receive, send):\n"
        "    print('printed by the app')\n"
        "    await hello(scope, receive, send)\n"
    )
    arguments = ("--app-dir", str(tmp_path), "--lifespan", "off")
    environment = {"PYTHONUNBUFFERED": unbuffered}
    with serve_process("printing:app", *arguments, environment=environment) as server, server.connect() as client:
        client.exchange(raw.request())
        assert server.stdout is not None
        server.stdout.wait_for(r"printed by the app\nINFO: .* 200 OK\n")


@pytest.mark.parity
def test_main_reads_sys_argv(server_name: str) -> None:
    code = f"import sys, {server_name}; sys.argv = ['program', '--version']; {server_name}.main()"
    result = run(code=code)
    assert (result.returncode, result.stdout.split(" ")[:2]) == (0, ["Running", server_name])


@pytest.mark.parity
def test_request_limit_exits_with_0(serve_process: ServeProcess) -> None:
    with serve_process(APP, "--limit-max-requests", "1") as server, server.connect() as client:
        client.exchange(raw.request())
        assert server.wait() == 0

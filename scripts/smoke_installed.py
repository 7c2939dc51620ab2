"""Checks an installed bicorn: it is alone, it says its version, it serves a request and ends when asked.

Run by the interpreter of an environment with nothing else in it, in a directory that is nobody's source tree.
Usage: python smoke_installed.py VERSION
"""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path

# What the venv module puts into an environment.
INSTALLERS = {"pip", "setuptools"}
START_SECONDS = STOP_SECONDS = 20.0

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b"%s %s" % (scope["method"].encode(), (await receive())["body"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
"""


def main() -> None:
    """Check it; an AssertionError says what is wrong."""
    version = sys.argv[1]
    command = Path(sysconfig.get_path("scripts")) / "bicorn"
    _check_that_it_is_alone(version)
    said = _output(str(command), "--version")
    assert f" {version} " in said, f"--version says {said}"
    assert "Usage: " in _output(sys.executable, "-m", "bicorn", "--help")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "smoke_app.py").write_text(APP)
        _check_that_it_serves(command, folder)
    print(f"bicorn {version} serves on Python {platform.python_version()}")


def _check_that_it_is_alone(version: str) -> None:
    import bicorn
    import bicorn.server

    assert bicorn.__file__.startswith(sys.prefix), f"imported from {bicorn.__file__}"
    assert bicorn.__version__ == metadata.version("bicorn") == version, bicorn.__version__
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    assert installed - INSTALLERS == {"bicorn"}, f"the environment is not empty: {installed}"
    assert Path(bicorn.__file__).with_name("py.typed").exists()


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=START_SECONDS).stdout


def _check_that_it_serves(command: Path, folder: str) -> None:
    arguments = [command, "smoke_app:app", "--port", "0", "--lifespan", "on"]
    server = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        lines = []
        port = None
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
                break
        assert port is not None, "".join(lines)
        connection = HTTPConnection("127.0.0.1", port, timeout=STOP_SECONDS)
        connection.request("POST", "/", body=b"smoke")
        response = connection.getresponse()
        answer = response.status, response.getheader("server"), response.read()
        assert answer == (200, "bicorn", b"POST smoke"), answer
        connection.close()
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=STOP_SECONDS)[1]
        assert "Application shutdown complete." in rest, rest
        assert server.returncode == -signal.SIGTERM, server.returncode
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()

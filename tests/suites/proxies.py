"""Starts nginx and HAProxy with the configurations of docs/deployment/proxies.md, addresses and times exchanged.

What a configuration is must not be changed here: only where it listens, where the server is, and how long it waits.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.serving import REPOSITORY
from tests.suites import programs

PAGE = REPOSITORY / "docs" / "deployment" / "proxies.md"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02

# What a site is included in; the paths are below the folder nginx is started in. What a distribution has there is
# about users and logs.
NGINX = """
daemon off;
{user}
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}}
"""


def block(name: str) -> str:
    """Return the block of the page that is the file `name`."""
    found = re.findall(rf"^```\w+\n# {re.escape(name)}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{PAGE.name} has {len(found)} blocks that are {name}"
    text: str = found[0]
    return text


def line(start: str) -> str:
    """Return the only line of the page that begins so."""
    found = [one for one in PAGE.read_text().splitlines() if one.startswith(start)]
    assert len(found) == 1, f"{PAGE.name} has {len(found)} lines that begin with {start!r}"
    return found[0]


def exchange(text: str, replacements: Mapping[str, str]) -> str:
    """Put other addresses into a configuration; each has to be there."""
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not in the page's configuration:\n{text}"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    """Find a port that nobody has for now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, replacements: Mapping[str, str]) -> Iterator[int]:
    """Run nginx from entry to exit and yield its port."""
    port = free_port()
    (folder / "site.conf").write_text(exchange(block("nginx.conf"), {"listen 80;": f"listen {port};", **replacements}))
    # As root it would have another user serve, who may not look into the folder.
    (folder / "nginx.conf").write_text(NGINX.format(user="user root;" if os.getuid() == 0 else ""))
    command = [programs.require("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with _running(command, port, folder):
        yield port


@contextmanager
def haproxy(folder: Path, replacements: Mapping[str, str]) -> Iterator[int]:
    """Run HAProxy from entry to exit and yield its port."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(exchange(block("haproxy.cfg"), {"bind :80": f"bind 127.0.0.1:{port}", **replacements}))
    with _running([programs.require("haproxy"), "-db", "-f", str(file)], port, folder):
        yield port


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_accepts(process, port, log)
        yield
    finally:
        # nginx and HAProxy both end at once.
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def _wait_until_it_accepts(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise AssertionError(f"{process.args!r} does not accept connections:\n{log.read_text(errors='replace')}")

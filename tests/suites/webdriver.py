"""As much of the W3C WebDriver protocol as one page needs: open it, run a script in it, end the browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.suites import programs

REQUEST_SECONDS = 90
STARTED = re.compile(r"started successfully on port (\d+)")
OPTIONS = (
    "--headless=new",
    "--ignore-certificate-errors",
    # The containers of a CI have no user namespaces and a small /dev/shm.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # Nothing but the server under test is asked for anything, and no proxy of the environment stands between.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)


class Browser:
    """One session of Chromium."""

    def __init__(self, port: int, options: list[str]) -> None:
        self._port = port
        chrome = {"binary": programs.require("chromium"), "args": options}
        wanted = {"goog:chromeOptions": chrome, "timeouts": {"script": REQUEST_SECONDS * 1000}}
        self._session = ""
        answer = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/{answer['sessionId']}"

    def open(self, url: str) -> None:
        """Load a page."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run a function's body in the page; the promise it returns is awaited."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def quit(self) -> None:
        """End the browser."""
        self._call("DELETE", "", None)

    def _call(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, f"/session{self._session}{path}", None if body is None else json.dumps(body))
            value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{value['error']}: {value['message']}")
        return value


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Run Chromium with a profile folder of its own from entry to exit."""
    driver = subprocess.Popen(
        [programs.require("chromedriver"), "--port=0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert driver.stdout is not None
    try:
        started = next(filter(None, map(STARTED.search, driver.stdout)), None)
        assert started is not None, "chromedriver did not start"
        browser = Browser(int(started[1]), [*OPTIONS, f"--user-data-dir={profile}"])
        try:
            yield browser
        finally:
            browser.quit()
    finally:
        driver.terminate()
        driver.wait(10)
        driver.stdout.close()

"""Chromium opens a page over HTTPS, which fetches, listens and talks over one HTTP/2 connection (RFC 8441)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.suites.apps import BIG
from tests.suites.servers import Certificate, running
from tests.suites.webdriver import Browser, browsing

pytestmark = pytest.mark.timeout(120)

# Resolves when the page says that it is done; what it saw until then goes into the message if it never is.
WAIT_AND_READ = """
    const deadline = Date.now() + 60000;
    while (document.title !== "done" && Date.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 20));
    return [document.title, JSON.stringify(seen)];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def seen(suite_server: str, certificate: Certificate, browser: Browser) -> dict[str, Any]:
    """What the page saw."""
    with running(suite_server, "tests.suites.browser_app:app", certificate=certificate) as server:
        browser.open(f"{server.url}/")
        title, text = browser.run(WAIT_AND_READ)
        assert title == "done", f"{text}\n{server.log_text}"
    result: dict[str, Any] = json.loads(text)
    assert result["errors"] == [], result
    return result


def test_fetch_is_http2(seen: dict[str, Any]) -> None:
    assert seen["get"] == {"http_version": "2", "scheme": "https", "method": "GET"}
    assert set(seen["protocols"]) == {"h2"}


def test_fetch_posts_and_reads_big_bodies_at_once(seen: dict[str, Any]) -> None:
    assert seen["post"] is True
    assert seen["parallel"] == [len(BIG)] * 20
    assert seen["missing"] == 404


def test_event_source_gets_every_event(seen: dict[str, Any]) -> None:
    assert seen["events"] == [f"event {number}" for number in range(5)]


def test_websocket_is_a_stream_of_the_http2_connection(seen: dict[str, Any]) -> None:
    socket = seen["socket"]
    assert json.loads(socket["messages"][0]) == {"http_version": "2", "scheme": "wss"}
    assert socket["messages"][1:] == ["short", "long"]
    assert socket["protocol"] == "chat"
    assert socket["close"] == [3001, "as asked", True]


def test_websocket_over_http2_is_deflated(seen: dict[str, Any]) -> None:
    assert seen["socket"]["extensions"].startswith("permessage-deflate")


def test_refused_websocket_fails_in_the_browser(seen: dict[str, Any]) -> None:
    assert seen["refused"] == 1006

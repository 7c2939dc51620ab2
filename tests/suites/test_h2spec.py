"""h2spec in strict mode: all 147 cases pass over TLS, on clear, and on a clear port that speaks HTTP/1.1 meanwhile."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import raw
from tests.serving import REPOSITORY
from tests.suites import programs
from tests.suites.servers import Certificate, Running, running

pytestmark = pytest.mark.timeout(120)

APP = "tests.suites.apps:app"
CASES = 147
# A title of the list, which h2spec prints with --dryrun: `    3: Sends a DATA frame with padding`.
TITLE = re.compile(r"^ +\d+: (.+)$", re.MULTILINE)


def run_h2spec(server: Running, folder: Path) -> None:
    """Run all cases and fail with those that did not pass."""
    report = folder / "report.xml"
    tls = ["-t", "-k"] if server.is_tls else []
    address = ["-h", server.host, "-p", str(server.port), "-P", "/slowly"]
    # Exit code 1 says that cases failed, which the report has in detail.
    programs.run([programs.require("h2spec"), "-S", "-o", "5", *tls, *address, "-j", report], timeout=90, codes=(0, 1))
    titles: list[str] = []
    wrong: list[str] = []
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            title = case.get("classname", "")
            titles.append(title)
            wrong += [f"{case.get('package')} {title}: {outcome.tag}: {outcome.text}" for outcome in case]
    assert not wrong, "\n".join(wrong)
    assert len(titles) == CASES
    if (expected := expected_titles()) is not None:
        assert Counter(titles) == expected


def expected_titles() -> Counter[str] | None:
    """Read the titles that lie beside the checkout; None if they do not."""
    path = REPOSITORY.parent / "shared" / "data" / "h2spec_cases.txt"
    return Counter(TITLE.findall(path.read_text())) if path.exists() else None


def test_all_cases_pass_over_tls(suite_server: str, certificate: Certificate, tmp_path: Path) -> None:
    with running(suite_server, APP, certificate=certificate) as server:
        run_h2spec(server, tmp_path)


def test_all_cases_pass_on_clear(suite_server: str, tmp_path: Path) -> None:
    with running(suite_server, APP) as server:
        run_h2spec(server, tmp_path)


def test_all_cases_pass_while_the_port_also_speaks_http1(suite_server: str, tmp_path: Path) -> None:
    answered = 0
    is_done = threading.Event()
    errors: list[BaseException] = []

    def ask() -> None:
        nonlocal answered
        try:
            while not is_done.is_set():
                # A connection a request: the server has to find out each time what it speaks.
                with raw.Client(server.host, server.port) as client:
                    assert client.exchange(raw.request()).status == 200
                answered += 1
        except BaseException as error:
            errors.append(error)

    with running(suite_server, APP) as server:
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            run_h2spec(server, tmp_path)
        finally:
            is_done.set()
            asking.join()
    assert not errors, errors
    assert answered

"""The Autobahn test suite's fuzzing client: every case is OK or informational, none failed, unclean or non-strict.

12 and 13 send a thousand messages a case and take most of the time, so the cases are shared out among several clients.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.serving import REPOSITORY
from tests.suites import programs
from tests.suites.servers import Certificate, Running, running

pytestmark = pytest.mark.timeout(30 * 60)

APP = "tests.suites.apps:app"
PART_SECONDS = 20 * 60
GOOD = ("OK", "INFORMATIONAL")
FRAMING = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
# The long ones first, so that no client is left with one at the end; each part is one run of the client.
DEFLATE = tuple((f"{group}.{kind}.*",) for group, kinds in ((12, 5), (13, 7)) for kind in range(1, kinds + 1))
PARTS = (*DEFLATE, ("9.*",), FRAMING)
# 247 of framing, 54 of long messages, 216 of permessage-deflate.
ALL_CASES, FRAMING_CASES = 517, 247

Results = dict[str, dict[str, Any]]


def run_client(server: Running, cases: tuple[str, ...], folder: Path) -> Results:
    """Run some cases and return what the client says of each."""
    folder.mkdir()
    specification = folder / "specification.json"
    url = server.url.replace("http", "ws", 1)
    settings = {"servers": [{"agent": "server", "url": url}], "cases": cases, "outdir": str(folder / "reports")}
    specification.write_text(json.dumps({**settings, "exclude-cases": [], "exclude-agent-cases": {}}))
    command = [client_program(), "-m", "fuzzingclient", "-s", specification]
    programs.run(command, timeout=PART_SECONDS, cwd=folder)
    results: Results = json.loads((folder / "reports" / "index.json").read_text())["server"]
    return results


def client_program() -> str:
    """Find the client that scripts/install-autobahn makes."""
    return programs.require(str(REPOSITORY / ".tools" / "autobahn" / "bin" / "wstest"))


def run_parts(server: Running, parts: tuple[tuple[str, ...], ...], folder: Path) -> Results:
    """Run the parts, as many at a time as there are cores, or as AUTOBAHN_CLIENTS says."""
    with ThreadPoolExecutor(int(os.environ.get("AUTOBAHN_CLIENTS", os.cpu_count() or 1))) as pool:
        folders = [folder / f"part-{number}" for number in range(len(parts))]
        runs = pool.map(lambda pair: run_client(server, *pair), zip(parts, folders, strict=True))
        return {case: result for results in runs for case, result in results.items()}


def assert_good(results: Results, count: int) -> None:
    wrong = [
        f"{case}: {result['behavior']}, closing: {result['behaviorClose']} (code {result['remoteCloseCode']})"
        for case, result in sorted(results.items())
        if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD
    ]
    assert not wrong, "\n".join(wrong)
    assert len(results) == count


def test_all_cases_are_ok(suite_server: str, tmp_path: Path) -> None:
    with running(suite_server, APP) as server:
        assert_good(run_parts(server, PARTS, tmp_path), ALL_CASES)


def test_framing_cases_are_ok_over_tls(suite_server: str, certificate: Certificate, tmp_path: Path) -> None:
    with running(suite_server, APP, certificate=certificate) as server:
        assert_good(run_parts(server, (FRAMING,), tmp_path), FRAMING_CASES)

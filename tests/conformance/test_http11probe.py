"""The HTTP/1.1 probe as a test: nothing fails, and only what RFC 9110/9112 allow is warned about."""

from __future__ import annotations

import pytest

from tests import serving
from tests.conformance import http11probe
from tests.conformance.app import probe_app
from tests.conformance.exchange import expand, load_cases

MINIMUM_PASSES = 149

# The request is not what its length counts: upstream's own slip, or bytes given as hex.
LENGTH_UNKNOWN = {"MAL-BINARY-GARBAGE"}

Results = list[http11probe.Result]


@pytest.fixture(scope="module")
def scored(server_name: str, event_loop_name: str) -> Results:
    cases = load_cases(http11probe.CASES_FILE)
    if cases is None:
        pytest.skip(f"shared/data/{http11probe.CASES_FILE} is not beside the checkout")
    with serving.serve(probe_app, server_name=server_name, loop=event_loop_name) as server:
        results = http11probe.run(server.host, server.port, cases)
    return [result for result in results if result.is_scored]


@pytest.mark.differs_from_uvicorn("12 cases fail")
def test_no_case_fails(scored: Results) -> None:
    failed = [str(result) for result in scored if result.verdict == "fail"]
    assert not failed, "\n".join(failed)


@pytest.mark.differs_from_uvicorn("warnings that the RFCs do not ask for")
def test_only_allowed_cases_warn(scored: Results) -> None:
    warned = [r for r in scored if r.verdict == "warn" and r.id not in http11probe.ALLOWED_WARNINGS]
    assert not warned, "\n".join(map(str, warned))


@pytest.mark.differs_from_uvicorn("129 pass")
def test_at_least_149_of_161_pass(scored: Results) -> None:
    assert len(scored) == 161
    assert sum(result.verdict == "pass" for result in scored) >= MINIMUM_PASSES


def test_placeholders_expand_to_the_published_lengths() -> None:
    cases = load_cases(http11probe.CASES_FILE) or []
    wrong = [
        case["id"]
        for case in cases
        if "request" in case and case["id"] not in LENGTH_UNKNOWN
        if len(expand(case["request"], "localhost:8080")) != case["request_len_for_localhost_8080"]
    ]
    assert not wrong

"""h1spec as a test: all 33 cases pass."""

from __future__ import annotations

import pytest

from tests.conformance import h1spec
from tests.conformance.app import echo_app
from tests.conformance.exchange import load_cases
from tests.conftest import Serve


@pytest.mark.differs_from_uvicorn("31 of 33: a missing and a second Host are accepted")
def test_all_cases_pass(serve: Serve) -> None:
    cases = load_cases(h1spec.CASES_FILE)
    if cases is None:
        pytest.skip(f"shared/data/{h1spec.CASES_FILE} is not beside the checkout")
    with serve(echo_app) as server:
        results = h1spec.run(server.host, server.port, cases)
    assert len(results) == 33
    failed = [f"{result.about}: got {result.seen}" for result in results if not result.passed]
    assert not failed, "\n".join(failed)

"""h1spec: 33 cases of fragmented, malformed and valid requests.

`python -m tests.conformance.h1spec --server bicorn` prints those that fail.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests import raw, serving
from tests.conformance.app import echo_app
from tests.conformance.exchange import load_cases

CASES_FILE = "h1spec_cases.json"
THREADS = 16
# How long a server must wait for the rest of a request that is cut off.
WAIT_SECONDS = 0.5

Case = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """Whether a case passed, and what came back."""

    about: str
    passed: bool
    seen: str


def run(host: str, port: int, cases: list[Case]) -> list[Result]:
    """Run all cases, each on a connection of its own, some at a time."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda case: run_case(host, port, case), cases))


def run_case(host: str, port: int, case: Case) -> Result:
    """Send one case's request, and judge what comes back."""
    with raw.Client(host, port) as client:
        client.send(case["request"].encode("latin-1"))
        if case["must_wait_500ms"]:
            is_silent = client.silent_for(WAIT_SECONDS)
            return Result(case["about"], is_silent, "silence" if is_silent else "an answer or the end")
        try:
            response = client.response(method=case["request"].partition(" ")[0])
        except (raw.BadResponse, OSError) as error:
            return Result(case["about"], False, repr(error))
    passed = any(low <= response.status <= high for low, high in case["status_ranges"])
    if response.status == 200 and case["body"] is not None:
        passed = passed and response.body == case["body"].encode("latin-1")
    return Result(case["about"], passed, f"{response.status} {response.body!r}")


def main() -> None:
    """Run the suite against one server and print what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=serving.SERVER_NAMES, default="bicorn")
    arguments = parser.parse_args()
    cases = load_cases(CASES_FILE)
    if cases is None:
        raise SystemExit(f"{CASES_FILE} is not there")
    with serving.serve(echo_app, server_name=arguments.server) as server:
        results = run(server.host, server.port, cases)
    for result in results:
        if not result.passed:
            print(f"fail {result.about}: got {result.seen}")
    print(f"{sum(result.passed for result in results)} of {len(results)} pass")


if __name__ == "__main__":
    main()

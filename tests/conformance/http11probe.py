"""HTTP/1.1 probe: 215 cases of malformed and unusual requests, 161 of them scored.

`python -m tests.conformance.http11probe --server bicorn` prints a table.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests import serving
from tests.conformance.app import probe_app
from tests.conformance.exchange import Answer, Dialogue, expand, load_cases
from tests.conformance.verdict import judge

CASES_FILE = "http11probe_cases.json"
# Some cases wait 5 s for a server that rightly waits for the rest; the threads sleep meanwhile.
THREADS = 16

# RFC 9110 and 9112 allow or prefer what the suite warns about.
ALLOWED_WARNINGS = frozenset(
    {
        "COMP-LEADING-CRLF",
        "MAL-CL-TAB-BEFORE-VALUE",
        "MAL-URL-PERCENT-CRLF",
        "MAL-URL-PERCENT-NULL",
        "MAL-URL-BACKSLASH",
        "SMUG-CL-DOUBLE-ZERO",
        "SMUG-CL-LEADING-ZEROS",
        "SMUG-CL-LEADING-ZEROS-OCTAL",
        "SMUG-CL-EXTRA-LEADING-SP",
        "SMUG-CL-TRAILING-SPACE",
        "NORM-UNDERSCORE-CL",
        "NORM-UNDERSCORE-TE",
    }
)

Case = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The verdict on one case, and what it was given for."""

    case: Case
    verdict: str
    answers: list[Answer | None]

    @property
    def id(self) -> str:
        """The case's name."""
        return str(self.case["id"])

    @property
    def is_scored(self) -> bool:
        """Whether it counts."""
        return bool(self.case["scored"])

    @property
    def is_required(self) -> bool:
        """Whether the RFC says MUST."""
        return bool(self.case["level"] == "Must")

    def __str__(self) -> str:
        seen = ", ".join(_describe(answer) for answer in self.answers)
        return f"{self.verdict:4} {self.id:40} expected {self.case['expected_text']}; got {seen}"


def _describe(answer: Answer | None) -> str:
    if answer is None:
        return "not sent"
    if answer.status is None:
        return answer.silence
    return f"{answer.status} {'closed' if answer.is_closed else 'open'}"


def run(host: str, port: int, cases: list[Case]) -> list[Result]:
    """Run all cases, each on a connection of its own, some at a time."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda case: run_case(host, port, case), cases))


def run_case(host: str, port: int, case: Case) -> Result:
    """Have one case's dialogue with the server, and judge it."""
    dialogue = Dialogue(host, port)
    answers: list[Answer | None] = []
    try:
        for request in _requests(case, f"{host}:{port}", answers):
            answers.append(None if request is None else dialogue.step(request))
    finally:
        dialogue.close()
    return Result(case, judge(case["outcome"], answers), answers)


def _requests(case: Case, host: str, answers: list[Answer | None]) -> Iterator[bytes | None]:
    """Yield the request of each step; one that depends on an earlier answer is made from `answers`."""
    if case["id"] == "MAL-CONTROL-CHARS-HEADER":
        # The suite's own literal is a slip; the file's note says what was meant.
        yield expand(case["request"].replace("\x07\x08?f", "\x07\x08\x0bdef"), host)
    elif "request_hex" in case:
        yield bytes.fromhex(case["request_hex"])
    elif "steps" not in case:
        yield expand(case["request"], host)
    else:
        for step in case["steps"]:
            if step["request"] is not None:
                yield expand(step["request"], host)
            else:
                assert answers[0] is not None
                yield _conditional_request(case["id"], host, answers[0])


def _conditional_request(case_id: str, host: str, first: Answer) -> bytes | None:
    etag, modified = first.header("etag"), first.header("last-modified")
    if (modified if case_id == "CAP-LAST-MODIFIED-304" else etag) is None:
        return None
    conditions = {
        "CAP-ETAG-304": f"If-None-Match: {etag}",
        "CAP-LAST-MODIFIED-304": f"If-Modified-Since: {modified}",
        "CAP-ETAG-IN-304": f"If-None-Match: {etag}",
        "CAP-INM-PRECEDENCE": f"If-None-Match: {etag}\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        "CAP-INM-UNQUOTED": f"If-None-Match: {etag}".replace('"', ""),
        "CAP-ETAG-WEAK": f"If-None-Match: W/{etag}",
    }
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n{conditions[case_id]}\r\n\r\n".encode()


def main() -> None:
    """Run the suite against one server and print what did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=serving.SERVER_NAMES, default="bicorn")
    parser.add_argument("--all", action="store_true", help="print the cases that passed too")
    arguments = parser.parse_args()
    cases = load_cases(CASES_FILE)
    if cases is None:
        raise SystemExit(f"{CASES_FILE} is not there")
    with serving.serve(probe_app, server_name=arguments.server) as server:
        results = run(server.host, server.port, cases)
    for result in results:
        if arguments.all or result.verdict != "pass":
            must = "MUST" if result.is_required else "    "
            print("scored  " if result.is_scored else "unscored", must, result)
    for title, part in (("scored", [r for r in results if r.is_scored]), ("all", results)):
        counts = Counter(result.verdict for result in part)
        print(f"{title:6} {len(part)}: pass {counts['pass']}, warn {counts['warn']}, fail {counts['fail']}")


if __name__ == "__main__":
    main()

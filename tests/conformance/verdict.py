"""Verdicts of http11probe: one pure function for each kind of rule in the data file.

The rules are prose in the file; `_RULES` maps the beginning of a sentence to its function, so that a rule that is new
in the file fails loudly instead of being judged by another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.conformance.exchange import Answer

Outcome = dict[str, Any]
Rule = Callable[[Outcome, Sequence[Answer | None]], str]

IMF_FIXDATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")


def judge(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    """Return "pass", "warn" or "fail" for the answers to a case's steps (None: the step could not be sent)."""
    if "rule" in outcome:
        return _rule(outcome["rule"])(outcome, answers)
    answer = answers[0]
    assert answer is not None
    if answer.status is None:
        return str(outcome["no_response"][answer.silence])
    return _judge_status(outcome, answer.status, answer.is_closed)


def _rule(sentence: str) -> Rule:
    found = [rule for beginning, rule in _RULES.items() if sentence.startswith(beginning)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} functions for the rule {sentence!r}")
    return found[0]


def _judge_status(outcome: Outcome, status: int, is_closed: bool) -> str:
    # An exact status says more than its class.
    for wanted in (status, f"{status // 100}xx"):
        for verdict, statuses in outcome["status"].items():
            if wanted in statuses:
                return str(verdict)
        for rule in outcome.get("state_dependent", ()):
            if wanted in rule["status"]:
                return str(rule["conn_closed_after" if is_closed else "conn_open_after"])
    return str(outcome["else"])


def _first(answers: Sequence[Answer | None]) -> Answer:
    assert answers[0] is not None
    return answers[0]


def _echo(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    return "pass" if answer.is_success and answer.body in (outcome["echo"].encode("latin-1"), b"OK") else "fail"


def _chunk_extension(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.is_success:
        return "pass" if answer.body in (b"hello", b"OK") else "fail"
    is_refused = answer.status == 400 or (answer.status is None and answer.is_closed)
    return "warn" if is_refused else "fail"


def _head_without_body(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    return "pass" if answer.is_success and not answer.raw_body else "fail"


def _method_not_allowed(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.status is None:
        return "fail"
    if answer.status != 405:
        return "warn"
    return "fail" if answer.header("allow") is None else "pass"


def _has_date(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    return "pass" if answer.is_success and answer.header("date") is not None else "fail"


def _date_form(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if not answer.is_success:
        return "fail"
    return "pass" if IMF_FIXDATE.fullmatch(answer.header("date") or "") else "warn"


def _no_content(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.status is None:
        return "fail"
    if answer.status != 204:
        return "warn"
    return "pass" if answer.header("content-length") is None else "fail"


def _has_header(name: str) -> Rule:
    def rule(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
        answer = _first(answers)
        if not answer.is_success:
            return "fail"
        return "warn" if answer.header(name) is None else "pass"

    return rule


def _trace(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.status in (405, 501) or (answer.status is None and answer.is_closed):
        return "pass"
    if answer.is_success:
        return "warn" if b"secret" in answer.body.lower() else "pass"
    return "fail"


def _normalization(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.status is None:
        return "pass" if answer.is_closed else "fail"
    if answer.status >= 400:
        return "pass"
    if not answer.is_success:
        return "fail"
    fold = (lambda name: name) if outcome["case_sensitive_names"] else str.lower
    lines = [line.partition(":") for line in answer.body.decode("latin-1").split("\n")]
    names = {fold(name) for name, _, value in lines if value.strip() == outcome["value"]}
    if fold(outcome["standard_name"]) in names:
        return "fail"
    return "warn" if fold(outcome["malformed_name"]) in names else "pass"


def _reject_or_close(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    return "pass" if answer.status == 400 or answer.is_closed else "fail"


def _no_second_response(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.status_lines >= 2:
        return "fail"
    return "pass" if answer.status == 400 or answer.is_closed else "fail"


def _prefix(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    first, second = _first(answers), answers[1]
    if first.status == 400 or first.is_closed or second is None:
        return "pass"
    if second.status_lines >= 2:
        return "warn"
    return "pass" if second.status == 400 or second.is_success else "warn"


def _unread_length_zero(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    first, second = _first(answers), answers[1]
    if first.status == 400 or first.is_closed:
        return "pass"
    if first.is_success:
        return "pass" if second is None else "warn"
    return "fail"


def _body_desync(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    first, second = _first(answers), answers[1]
    if first.status == 400 or first.is_closed:
        return "pass"
    if first.is_success:
        return "pass" if second is None or second.is_success else "warn"
    return "fail"


def _expect(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    first, second = _first(answers), answers[1]
    if first.status in (400, 417) or first.is_closed:
        return "pass"
    if first.is_success:
        return "pass" if second is None or second.is_success else "warn"
    return "warn"


def _pipeline(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    first, second = _first(answers), answers[1]
    if not first.is_success:
        return "fail"
    return "pass" if second is not None and second.is_success else "warn"


def _echoes_cookie(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.is_success:
        return "pass" if b"cookie:" in answer.body.lower() else "fail"
    return "warn" if answer.status is None and answer.is_closed else "fail"


def _without_bytes(forbidden: bytes) -> Rule:
    def rule(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
        answer = _first(answers)
        if answer.is_success:
            return "fail" if any(byte in answer.body for byte in forbidden) else "pass"
        return "pass" if answer.status == 400 or (answer.status is None and answer.is_closed) else "fail"

    return rule


def _two_cookie_lines(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.is_success:
        return "pass" if b"a=1" in answer.body and b"b=2" in answer.body else "warn"
    return "warn" if answer.status == 400 or (answer.status is None and answer.is_closed) else "fail"


def _parsed_cookies(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
    answer = _first(answers)
    if answer.is_success:
        return "pass" if all(pair.encode() in answer.body for pair in outcome["pairs"]) else "fail"
    return "warn" if answer.status in (404, 400) or (answer.status is None and answer.is_closed) else "fail"


def _conditional(best: str, other: str | None = None, *, needs_etag: bool = False) -> Rule:
    """Make a rule for a conditional request: `best` and `other` are the statuses that pass and that warn."""

    def rule(outcome: Outcome, answers: Sequence[Answer | None]) -> str:
        if not _first(answers).is_success:
            return "fail"
        second = answers[1]
        if second is None or second.status is None:
            return "warn"
        classes = {str(second.status), f"{second.status // 100}xx"}
        if best in classes and not (needs_etag and second.header("etag") is None):
            return "pass"
        return "warn" if needs_etag or other in classes else "fail"

    return rule


# Keyed by the beginning of the sentence, long enough to be unique.
_RULES: dict[str, Rule] = {
    "2xx whose (de-chunked) body equals the sent body": _echo,
    '2xx and (de-chunked) body == "hello" or "OK" -> pass': _chunk_extension,
    "2xx and zero bytes after the header block -> pass; else fail": _head_without_body,
    "405 with Allow header -> pass; 405 without -> fail": _method_not_allowed,
    "2xx with Date header -> pass; else fail": _has_date,
    "2xx: Date in IMF-fixdate form": _date_form,
    "204 without Content-Length -> pass; 204 with -> fail": _no_content,
    "2xx with Allow -> pass; 2xx without -> warn; else fail": _has_header("allow"),
    "2xx with Content-Type -> pass; 2xx without -> warn; else fail": _has_header("content-type"),
    "405/501 or closed -> pass; 2xx whose body does not contain the token": _trace,
    "status>=400 or closed without response -> pass; 2xx: the /echo body": _normalization,
    "step 1: 400 -> pass; connection closed by server after": _reject_or_close,
    '>= 2 status lines ("HTTP/d.d ddd") in what came back for step 1 -> fail': _no_second_response,
    "400 or closed at step 1 -> pass; 2xx at step 1: step 2 not sent -> pass": _prefix,
    "400 or closed at step 1 -> pass; 2xx: step 2 not sent -> pass, sent -> warn": _unread_length_zero,
    "400 or closed at step 1 -> pass; 2xx: step 2 not sent -> pass, step 2 2xx": _body_desync,
    "400/417 or closed at step 1 -> pass; 2xx: step 2 not sent": _expect,
    "step 1 not 2xx -> fail; closed before step 2 -> warn": _pipeline,
    '2xx and the /echo body contains "Cookie:"': _echoes_cookie,
    "400 or closed -> pass; 2xx with no NUL in the /echo body": _without_bytes(b"\x00"),
    "400 or closed -> pass; 2xx with none of 01,02,03 in the /echo body": _without_bytes(b"\x01\x02\x03"),
    "2xx with both a=1 and b=2 in the /echo body": _two_cookie_lines,
    "2xx and body contains every pair -> pass; 2xx without -> fail": _parsed_cookies,
    "GET / ; no ETag -> warn; then If-None-Match: <etag>; 304 pass": _conditional("304", "2xx"),
    "GET / ; no Last-Modified -> warn; then If-Modified-Since: <lm>; 304 pass": _conditional("304", "2xx"),
    "as ETAG-304; 304 carrying ETag pass, otherwise warn": _conditional("304", needs_etag=True),
    "If-None-Match: <etag> plus If-Modified-Since: Thu, 01 Jan 1970": _conditional("304", "2xx"),
    "If-None-Match: *; 304 pass, 2xx warn": _conditional("304", "2xx"),
    "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT; 2xx pass, 304 warn": _conditional("2xx", "304"),
    "If-Modified-Since: not-a-date; 2xx pass, 304 warn": _conditional("2xx", "304"),
    "no ETag -> warn; If-None-Match: etag without quotes; 2xx pass, 304 warn": _conditional("2xx", "304"),
    "no ETag -> warn; If-None-Match: W/<etag>; 304 pass, 2xx warn": _conditional("304", "2xx"),
}

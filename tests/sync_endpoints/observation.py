"""What one request shows of a server: the bytes of the answer, the log lines, and what the app noted.

Left out is what may differ between two servers that behave alike: the date, the server's name, the client's port.
"""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import raw, serving
from tests.serving import LogRecords, Served
from tests.sync_endpoints.families import Case, Family, note

DIRECTORY = str(Path(__file__).resolve().parent)
# Longer is a hang: nothing here takes more than a second.
IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Error:
    """One exception of a chain, as far as the app has a part in it."""

    type: str
    text: str
    # Function and line of each frame that is in an app of these tests.
    frames: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Line:
    """One record of uvicorn.error."""

    level: str
    message: str
    # The exception, then what it was caused by or raised in.
    errors: tuple[Error, ...]


@dataclass(frozen=True)
class Observation:
    """All that can be compared."""

    wire: bytes
    access: tuple[tuple[object, ...], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    def alike(self) -> Observation:
        """Return this without what tells a `def` from an `async def` form."""
        access = tuple(tuple(_without_kind(str(part)) for part in args) for args in self.access)
        lines = tuple(Line(line.level, line.message, tuple(_without_frames(line.errors))) for line in self.lines)
        wire = re.sub(rb"\r\ncontent-length: \d+\r\n", b"\r\ncontent-length: N\r\n", self.wire)
        notes = tuple(map(_without_kind, self.notes))
        return Observation(_without_kind(wire.decode("latin-1")).encode("latin-1"), access, lines, notes)

    def described(self) -> list[str]:
        """Return this as lines of text, for `assert_same`."""
        answer = [repr(line) for line in self.wire.split(b"\r\n")]
        return [*answer, *map(repr, self.access), *map(repr, self.lines), *map(repr, self.notes)]


def assert_same(seen: Observation, expected: Observation) -> None:
    """Fail with the lines that differ."""
    if seen != expected:
        lines = difflib.unified_diff(expected.described(), seen.described(), "expected", "seen", lineterm="", n=1)
        raise AssertionError("\n".join(lines))


def _without_kind(text: str) -> str:
    return re.sub(r"/(def|async)\b", "/KIND", text)


def _without_frames(errors: tuple[Error, ...]) -> Iterator[Error]:
    for error in errors:
        yield Error(error.type, error.text, tuple((name, 0) for name, _ in error.frames if name != "twin"))


def normalized(data: bytes) -> bytes:
    """Take the moment and the server's name out of an answer."""
    data = re.sub(rb"(date: |expires=)\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT", rb"\1DATE", data)
    data = re.sub(rb"\r\nserver: (bicorn|uvicorn)\r\n", rb"\r\nserver: SERVER\r\n", data)
    # Starlette's session cookie: content, time, signature.
    data = re.sub(rb"(session=[\w=-]+)\.[\w-]+\.[\w-]+", rb"\1.SIGNED", data)
    # RFC 1952 §2.3: MTIME stands behind ID1, ID2, CM and FLG.
    return re.sub(rb"(\x1f\x8b\x08\x00)[\s\S]{4}", rb"\1TIME", data)


def chain_of(error: BaseException | None) -> Iterator[Error]:
    """Give the exception and those it was raised from or in."""
    while error is not None:
        frames = []
        traceback = error.__traceback__
        while traceback is not None:
            code = traceback.tb_frame.f_code
            frame = (code.co_name, traceback.tb_lineno)
            # How deep a recursion may go depends on what is below it: it counts once.
            if code.co_filename.startswith(DIRECTORY) and frame not in frames[-1:]:
                frames.append(frame)
            traceback = traceback.tb_next
        yield Error(type(error).__name__, str(error), tuple(frames))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class Stage:
    """One app on one server."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def observe(self, case: Case, kind: str) -> Observation:
        """Ask once, on a connection of its own."""

        def talk(client: raw.Client) -> bytes:
            client.send(case.request(kind))
            return client.read_until_closed()

        return self.observe_talk(talk)

    def observe_talk(self, talk: Callable[[raw.Client], bytes], *, requests: int = 1) -> Observation:
        """Let `talk` have a connection, and wait until all its `requests` are over, background tasks included."""
        note.clear()
        logs = LogRecords()
        with serving.logging_restored():
            for name in ("uvicorn.error", "uvicorn.access"):
                logging.getLogger(name).setLevel(logging.INFO)
                # Other handlers would write out every traceback.
                logging.getLogger(name).propagate = False
            logs.attach()
            with self.served.connect() as client:
                wire = normalized(talk(client))
            self._wait_until_over(logs, requests)
        lines = tuple(
            Line(
                record.levelname, record.getMessage(), tuple(chain_of(record.exc_info[1] if record.exc_info else None))
            )
            for record in logs.of("uvicorn.error")
        )
        # The first argument is the client's address.
        access = tuple(_arguments(record)[1:] for record in logs.of("uvicorn.access"))
        return Observation(wire, access, lines, note.take())

    def _wait_until_over(self, logs: LogRecords, requests: int) -> None:
        end = time.monotonic() + IDLE_SECONDS
        while self.served.server.server_state.tasks or len(logs.of("uvicorn.access")) < requests:
            if time.monotonic() > end:
                tasks = len(self.served.server.server_state.tasks)
                raise AssertionError(
                    f"after {IDLE_SECONDS} s {tasks} tasks and {len(logs.of('uvicorn.access'))} access records"
                )
            # uvicorn announces neither.
            time.sleep(0.001)


def _arguments(record: logging.LogRecord) -> tuple[object, ...]:
    assert isinstance(record.args, tuple)
    return record.args


class Stages:
    """The servers of one family of apps at a time, one for each mode, and what was seen on all so far."""

    def __init__(self, serve: Callable[..., Any]) -> None:
        self._serve = serve
        self._family: Family | None = None
        self._stack = ExitStack()
        self._stages: dict[str, Stage] = {}
        self._seen: dict[tuple[str, str, str, str], Observation] = {}

    def get(self, family: Family, mode: str) -> Stage:
        """Return the family's server of that mode, started when first wanted."""
        if family is not self._family:
            self.close()
            self._family = family
        if mode not in self._stages:
            options = {"lifespan": "auto", "timeout_graceful_shutdown": 1, **family.options}
            options |= {"attach_error": False, "attach_access": False}
            served = self._stack.enter_context(self._serve(family.make_app(), mode, **options))
            self._stages[mode] = Stage(served)
        return self._stages[mode]

    def observe(self, family: Family, mode: str, case: Case, kind: str) -> Observation:
        """Ask, or remember what was seen when this was asked before."""
        key = (family.name, mode, str(case), kind)
        if key not in self._seen:
            self._seen[key] = self.get(family, mode).observe(case, kind)
        return self._seen[key]

    def close(self) -> None:
        """Stop what runs."""
        self._stack.close()
        self._stages.clear()

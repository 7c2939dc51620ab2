"""Cases of the data files → bytes, and the one dialogue both suites have with a server."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serving import REPOSITORY

TIMEOUT_SECONDS = 5.0
# The probe's own figures: how long it drains after the first empty line, and when it looks for the FIN after that.
DRAIN_SECONDS = 0.1
PEEK_SECONDS = 0.05

FOR = re.compile(r"\{FOR i IN (\d+)\.\.(\d+): (.*?\r\n)\}")
JOIN_NUMBERED = re.compile(r'\{JOIN\("([^"]*)", (.*?) for i in (\d+)\.\.(\d+)\)\}')
JOIN_REPEATED = re.compile(r'\{JOIN\("([^"]*)", (\d+) x "([^"]*)"\)\}')
STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})")


def load_cases(name: str) -> list[dict[str, Any]] | None:
    """Read a data file from `shared/data` beside the checkout; None if it is not there."""
    path: Path = REPOSITORY.parent / "shared" / "data" / name
    if not path.exists():
        return None
    cases: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
    return cases


def expand(text: str, host: str) -> bytes:
    """Fill in the placeholders {HOST}, {REPEAT:…}, {FOR …}, {JOIN(…)}, {CL} and {HEXLEN} of a request."""
    text = re.sub(r"\{REPEAT:(.):(\d+)\}", lambda match: match[1] * int(match[2]), text)
    text = FOR.sub(lambda match: "".join(_numbered(match[3], match[1], match[2])), text)
    text = JOIN_NUMBERED.sub(lambda match: match[1].join(_numbered(match[2], match[3], match[4])), text)
    text = JOIN_REPEATED.sub(lambda match: match[1].join([match[3]] * int(match[2])), text)
    text = text.replace("{HOST}", host)
    if "{CL}" in text:
        text = text.replace("{CL}", str(len(text.partition("\r\n\r\n")[2])))
    if "{HEXLEN}" in text:
        inner = text.partition("{HEXLEN}\r\n")[2].removesuffix("\r\n0\r\n\r\n")
        text = text.replace("{HEXLEN}", f"{len(inner):x}")
    return text.encode("latin-1")


def _numbered(pattern: str, first: str, last: str) -> list[str]:
    return [pattern.replace("{i}", str(i)) for i in range(int(first), int(last) + 1)]


@dataclass
class Answer:
    """What came back for one step of a case."""

    data: bytes = b""
    is_closed: bool = False
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    # All bytes after the first header section, and the same de-chunked where the response says chunked.
    raw_body: bytes = b""
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def status_lines(self) -> int:
        """How many responses seem to be in it."""
        return len(STATUS_LINE.findall(self.data))

    @property
    def silence(self) -> str:
        """The name of the no-response state: closed, timeout or still_open."""
        if self.is_closed:
            return "closed"
        return "still_open" if self.data else "timeout"

    def header(self, name: str) -> str | None:
        """Return the first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Dialogue:
    """One connection of the probe."""

    def __init__(self, host: str, port: int, timeout: float = TIMEOUT_SECONDS) -> None:
        self.timeout = timeout
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_closed = False

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def step(self, request: bytes) -> Answer | None:
        """Send the request and collect the answer; None if the connection was closed before all was sent."""
        if self.is_closed:
            return None
        try:
            self.socket.settimeout(self.timeout)
            self.socket.sendall(request)
        except OSError:
            # Rejected before the whole request was sent: the answer may be there to read.
            pass
        data = bytearray()
        self._read(data, self.timeout, until=b"\r\n\r\n")
        self._read(data, DRAIN_SECONDS)
        self._read(data, PEEK_SECONDS)
        return _parse(bytes(data), self.is_closed)

    def _read(self, data: bytearray, seconds: float, until: bytes | None = None) -> None:
        end = time.monotonic() + seconds
        while not self.is_closed and (left := end - time.monotonic()) > 0:
            if until is not None and until in data:
                return
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(64 * 1024)
            except TimeoutError:
                return
            except OSError:
                received = b""
            self.is_closed = not received
            data += received


def _parse(data: bytes, is_closed: bool) -> Answer:
    answer = Answer(data, is_closed)
    match = STATUS_LINE.match(data)
    if match is None:
        return answer
    answer.status = int(match[1])
    head, _, answer.raw_body = data.partition(b"\r\n\r\n")
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        answer.headers.append((name, value.strip()))
    is_chunked = "chunked" in (answer.header("transfer-encoding") or "").lower()
    answer.body = _dechunk(answer.raw_body) if is_chunked else answer.raw_body
    return answer


def _dechunk(data: bytes) -> bytes:
    body = b""
    while (match := re.match(rb"([0-9a-fA-F]+)[^\r\n]*\r\n", data)) and (size := int(match[1], 16)):
        body += data[match.end() : match.end() + size]
        data = data[match.end() + size + 2 :]
    return body

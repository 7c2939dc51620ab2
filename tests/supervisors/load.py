"""Clients that ask as fast as they are answered, and count what failed: over HTTP/1 kept alive, HTTP/1 closed, HTTP/2.

No request is ever sent twice for a failure's sake. The one exception is what HTTP/2 calls unprocessed: a stream above
the last one that GOAWAY names was not looked at, and belongs on another connection (RFC 9113 §6.8).
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests import raw, raw_http2

KEEP_ALIVE_REQUEST = raw.request()
CLOSE_REQUEST = raw.request(headers=[("Connection", "close")])


class Load:
    """What the clients have seen so far."""

    def __init__(self, host: str, port: int, expected: bytes) -> None:
        self.host = host
        self.port = port
        self.expected = expected
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        # Longest time between two answers of one client, in seconds.
        self.longest_gap = 0.0
        self._changed = threading.Condition()
        self._stop = threading.Event()

    @property
    def total(self) -> int:
        """Answers of all clients."""
        return sum(self.answered.values())

    def wait_for(self, total: int, timeout: float = 60.0) -> None:
        """Wait until there are so many answers."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: self.total >= total, timeout)
        assert is_there, f"{self.total} answers of {total} in {timeout} s, failures: {self.failures[:5]}"

    def run(self, kind: str, client: Callable[[Load], Iterator[None]]) -> None:
        """Ask until stopped."""
        last = time.monotonic()
        while not self._stop.is_set():
            try:
                for _ in client(self):
                    now = time.monotonic()
                    with self._changed:
                        self.answered[kind] += 1
                        self.longest_gap = max(self.longest_gap, now - last)
                        self._changed.notify_all()
                    last = now
                    if self._stop.is_set():
                        break
            except (OSError, AssertionError) as error:
                with self._changed:
                    self.failures.append(f"{kind}: {type(error).__name__}: {error}")
                if len(self.failures) > 1000:
                    return

    def stop(self) -> None:
        """Have the clients end after their request."""
        self._stop.set()


def kept_alive(load: Load) -> Iterator[None]:
    """Ask on one connection until the server says that it closes."""
    with raw.Client(load.host, load.port) as client:
        while True:
            response = client.exchange(KEEP_ALIVE_REQUEST)
            _check(load, response.status, response.body)
            yield
            if response.closes:
                return


def closed(load: Load) -> Iterator[None]:
    """Ask once."""
    with raw.Client(load.host, load.port) as client:
        response = client.exchange(CLOSE_REQUEST)
        _check(load, response.status, response.body)
        yield


def http2(load: Load) -> Iterator[None]:
    """Ask on one connection, one stream at a time, until GOAWAY."""
    with raw_http2.Client(load.host, load.port) as client:
        while client.goaway is None:
            stream = client.request()
            try:
                response = client.response(stream)
            except (raw.Closed, ConnectionError):
                if client.goaway is not None and stream > client.goaway.last_stream:
                    return
                raise
            if response.reset is not None:
                raise AssertionError(f"stream {stream} was reset with {response.reset}")
            _check(load, response.status, bytes(response.body))
            yield


KINDS: dict[str, Callable[[Load], Iterator[None]]] = {"kept alive": kept_alive, "closed": closed, "HTTP/2": http2}


def _check(load: Load, status: int, body: bytes) -> None:
    if status != 200 or body != load.expected:
        raise AssertionError(f"answered with {status} {body[:80]!r}")


@contextmanager
def load(port: int, clients: dict[str, int], *, host: str = "127.0.0.1", expected: bytes = b"hello") -> Iterator[Load]:
    """Ask with so many clients of each kind, from entry to exit."""
    load = Load(host, port, expected)
    threads = [
        threading.Thread(target=load.run, args=(kind, KINDS[kind]), daemon=True)
        for kind, count in clients.items()
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(10)


def open_connections(port: int, count: int, host: str = "127.0.0.1", target: str = "/") -> list[raw.Client]:
    """Open connections and use each once, so that every one is some worker's."""
    clients = [raw.Client(host, port) for _ in range(count)]
    for client in clients:
        client.send(raw.request(target=target))
    return clients


def wait_listening(port: int, host: str = "127.0.0.1", timeout: float = 10.0) -> None:
    """Wait until connections are taken: workers say that they have started a moment before they listen."""
    end = time.monotonic() + timeout
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        assert time.monotonic() < end, f"nobody listens on port {port}"

"""bicorn's worker under gunicorn: no request is lost while workers are replaced."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.suites.arbiter import VERSIONS, Arbiter, arbiter

pytestmark = pytest.mark.timeout(90)

KEPT_CONNECTIONS = 8
SHORT_CONNECTIONS = 4
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n%b\r\n"


@dataclass
class Load:
    """Clients that send one request after the other, each on a connection of its own."""

    port: int
    answered: int = 0
    faults: list[str] = field(default_factory=list)
    pids: set[bytes] = field(default_factory=set)
    _is_over: bool = False

    async def run(self, running: Arbiter, replace: list[asyncio.Task[None]]) -> None:
        """Send requests until whoever replaces workers is done."""
        clients = [asyncio.create_task(self._keep_alive()) for _ in range(KEPT_CONNECTIONS)]
        clients += [asyncio.create_task(self._close()) for _ in range(SHORT_CONNECTIONS)]
        try:
            await asyncio.gather(*replace)
        finally:
            self._is_over = True
            await asyncio.wait_for(asyncio.gather(*clients), 20)

    async def _keep_alive(self) -> None:
        while not self._is_over:
            try:
                await self._connection(b"")
            except Exception as error:
                self.faults.append(f"kept connection: {error!r}")

    async def _close(self) -> None:
        while not self._is_over:
            try:
                await self._connection(b"Connection: close\r\n")
            except Exception as error:
                self.faults.append(f"short connection: {error!r}")

    async def _connection(self, header: bytes) -> None:
        """Send requests on a connection until the server says that it is the last one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            is_last = False
            while not (is_last or self._is_over):
                writer.write(REQUEST % header)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head.startswith(b"http/1.1 200 "), head
                length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.pids.add((await reader.readexactly(length)).partition(b",")[0])
                self.answered += 1
                is_last = b"connection: close" in head
        finally:
            writer.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_reloading_loses_no_request(version: str, tmp_path: Path) -> None:
    async def reload(running: Arbiter) -> None:
        for round in range(3):
            running.signal(signal.SIGHUP)
            started, ended = 2 * (round + 2), 2 * (round + 1)
            await asyncio.to_thread(running.wait_for, "Application startup complete", started)
            await asyncio.to_thread(running.wait_for, "Worker exiting", ended)

    async def main(running: Arbiter) -> Load:
        load = Load(running.port)
        await load.run(running, [asyncio.create_task(reload(running))])
        return load

    with arbiter(version, tmp_path, workers=2) as running:
        load = asyncio.run(main(running))
    print(f"{load.answered} requests, {len(load.pids)} workers")
    assert load.faults == []
    # A reload is over once its workers have started: the last ones may not have had a request yet.
    assert len(load.pids) >= 5


@pytest.mark.parametrize("version", VERSIONS)
def test_recycling_loses_no_request(version: str, tmp_path: Path) -> None:
    async def main(running: Arbiter) -> Load:
        load = Load(running.port)
        recycled = asyncio.to_thread(running.wait_for, "Application startup complete", 8)
        await load.run(running, [asyncio.create_task(recycled)])
        return load

    options = ["--max-requests", "500", "--max-requests-jitter", "200"]
    with arbiter(version, tmp_path, *options, workers=2) as running:
        load = asyncio.run(main(running))
    print(f"{load.answered} requests, {len(load.pids)} workers")
    assert load.faults == []
    assert len(load.pids) >= 5

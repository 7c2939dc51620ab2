"""python-socketio over polling, WebSocket and the way from one to the other: the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import socketio

from tests.serving import ServedProcess
from tests.suites.world_servers import serving

pytestmark = pytest.mark.parity

WAIT_SECONDS = 10
# python-engineio takes no more than 16 packets from one polling response.
AT_ONCE = 12
TRANSPORTS = pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="+".join)
BIG = bytes(range(256)) * 800


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("socketio_app:app", server_name, farewell="the sockets are closed") as server:
        yield server


class Client:
    """A client whose events can be waited for."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncClient(reconnection=False)
        self._events: dict[str, asyncio.Queue[Any]] = {}
        for name in ("welcome", "left", "said", "number"):
            self._events[name] = asyncio.Queue()
            self.sio.on(name, self._events[name].put)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.sio.disconnect()

    async def connect(self, server: ServedProcess, transports: list[str], name: str) -> None:
        await self.sio.connect(server.url, auth={"name": name}, transports=transports, wait_timeout=WAIT_SECONDS)
        assert await self.next("welcome") == {"name": name}

    async def next(self, event: str) -> Any:
        return await asyncio.wait_for(self._events[event].get(), WAIT_SECONDS)


@TRANSPORTS
def test_calls_have_answers(server: ServedProcess, transports: list[str]) -> None:
    scheme = "ws" if transports == ["websocket"] else "http"

    async def run() -> None:
        async with Client() as client:
            await client.connect(server, transports, "ada")
            assert client.sio.transport() == transports[-1]
            assert await client.sio.call("add", [1, 2, 3]) == {"sum": 6, "for": "ada", "scheme": scheme}
            assert await client.sio.call("echo", BIG) == BIG

    asyncio.run(run())


@TRANSPORTS
def test_the_server_sends_by_itself(server: ServedProcess, transports: list[str]) -> None:
    async def run() -> None:
        async with Client() as client:
            await client.connect(server, transports, "ada")
            for _ in range(5):
                await client.sio.emit("count", AT_ONCE)
                assert [await client.next("number") for _ in range(AT_ONCE)] == list(range(AT_ONCE))

    asyncio.run(run())


@TRANSPORTS
def test_rooms_and_leaving(server: ServedProcess, transports: list[str]) -> None:
    async def run() -> None:
        async with Client() as one, Client() as two:
            await one.connect(server, transports, "one")
            await two.connect(server, transports, "two")
            await one.sio.call("enter", "lounge")
            await two.sio.emit("say", ("lounge", "hello"))
            assert await one.next("said") == "hello"
            await two.sio.disconnect()
            assert await one.next("left") == "two"

    asyncio.run(run())


def test_a_connection_without_a_name_is_refused(server: ServedProcess) -> None:
    async def run() -> None:
        errors: list[Any] = []
        sio = socketio.AsyncClient(reconnection=False)
        sio.on("connect_error", errors.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            # By polling, the client would wait for a ping before it leaves.
            await sio.connect(server.url, transports=["websocket"], wait_timeout=WAIT_SECONDS)
        assert errors == [{"message": "a name is needed"}]

    asyncio.run(run())


def test_static_files(server: ServedProcess) -> None:
    assert "<title>" in httpx.get(server.url).text


def test_many_clients(server: ServedProcess) -> None:
    async def call(number: int) -> None:
        async with Client() as client:
            transports = [["polling"], ["websocket"]][number % 2]
            await client.connect(server, transports, f"client {number}")
            for value in range(5):
                assert (await client.sio.call("add", [value, number]))["sum"] == value + number

    async def run() -> None:
        await asyncio.gather(*(call(number) for number in range(20)))

    asyncio.run(run())

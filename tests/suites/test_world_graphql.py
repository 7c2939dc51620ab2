"""Strawberry: queries by HTTP, subscriptions by graphql-transport-ws; the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.serving import ServedProcess
from tests.suites.world_servers import serving

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def server(server_name: str) -> Iterator[ServedProcess]:
    with serving("graphql_app:app", server_name) as server:
        yield server


def ask(server: ServedProcess, query: str, **variables: Any) -> Any:
    response = httpx.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, timeout=10)
    assert response.status_code == 200, response.text
    return response.json()


async def open_session(server: ServedProcess) -> ClientConnection:
    socket = await connect(server.url.replace("http", "ws") + "/graphql", subprotocols=["graphql-transport-ws"])
    await say(socket, type="connection_init")
    assert await hear(socket) == {"type": "connection_ack"}
    return socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> Any:
    message = json.loads(await asyncio.wait_for(socket.recv(), 10))
    return {key: value for key, value in message.items() if value is not None}


async def until(server: ServedProcess, field: str, expected: Any) -> None:
    """Ask again and again, as an `await` on the server's state is none of GraphQL's words."""
    async with httpx.AsyncClient(timeout=10) as client:
        while True:
            response = await client.post(f"{server.url}/graphql", json={"query": f"{{ {field} }}"})
            if response.json()["data"][field] == expected:
                return


def test_queries_and_errors(server: ServedProcess) -> None:
    asked = ask(server, "query($t: String!) { book(title: $t) { title pages } }", t="dune")
    assert asked["data"] == {"book": {"title": "dune", "pages": 4}}
    assert "Cannot query field" in ask(server, "{ nothing }")["errors"][0]["message"]
    assert "GraphiQL" in httpx.get(f"{server.url}/graphql", headers={"accept": "text/html"}).text


def test_two_subscriptions_share_a_socket(server: ServedProcess) -> None:
    async def talk() -> None:
        async with await open_session(server) as socket:
            for name in ("a", "b"):
                query = "subscription { count(until: 50) }"
                await say(socket, id=name, type="subscribe", payload={"query": query})
            seen: dict[str, list[int]] = {"a": [], "b": []}
            completed = 0
            while completed < 2:
                message = await hear(socket)
                completed += message["type"] == "complete"
                if message["type"] == "next":
                    seen[message["id"]].append(message["payload"]["data"]["count"])
            assert seen == {"a": list(range(50)), "b": list(range(50))}
            await say(socket, type="ping")
            assert await hear(socket) == {"type": "pong"}

    asyncio.run(talk())


@pytest.mark.parametrize("how", ["completed", "closed", "dropped"])
def test_a_subscription_ends_with_its_subscriber(server: ServedProcess, how: str) -> None:
    async def talk() -> None:
        socket = await open_session(server)
        query = f'subscription {{ published(name: "{how}") }}'
        await say(socket, id="1", type="subscribe", payload={"query": query})
        await until(server, "subscribers", 1)
        assert ask(server, 'mutation { publish(text: "news") }')["data"] == {"publish": 1}
        assert (await hear(socket))["payload"]["data"] == {"published": "news"}
        if how == "completed":
            await say(socket, id="1", type="complete")
        elif how == "closed":
            await socket.close()
        else:
            socket.transport.abort()
        await until(server, "subscribers", 0)
        assert how in ask(server, "{ ended }")["data"]["ended"]
        await socket.close()

    asyncio.run(talk())


def test_a_socket_without_an_introduction_is_closed(server: ServedProcess) -> None:
    async def talk() -> None:
        address = server.url.replace("http", "ws") + "/graphql"
        async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:
            await say(socket, id="1", type="subscribe", payload={"query": "subscription { count(until: 1) }"})
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4401
        async with connect(address, subprotocols=["something-else"]) as socket:
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4406

    asyncio.run(talk())

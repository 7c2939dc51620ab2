"""The MCP SDK's streamable HTTP server and its own client: the same on uvicorn and bicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
from mcp import Client

from tests.serving import ServedProcess
from tests.suites.world_servers import serving

pytestmark = pytest.mark.parity

# "legacy" begins a session with initialize; "auto" asks what the server speaks, and needs none with one of today.
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


@pytest.fixture(scope="module", params=["app", "stateless_app", "stateless_app --workers 2"])
def server(server_name: str, request: pytest.FixtureRequest) -> Iterator[ServedProcess]:
    # The width of its log lines; what it logs about a request for another host.
    options = {"environment": {"COLUMNS": "200"}, "expected": "Invalid Host header"}
    farewell = "StreamableHTTP session manager shutting down"
    app, *arguments = request.param.split()
    with serving(f"mcp_server:{app}", server_name, *arguments, **options, farewell=farewell) as server:
        yield server


def talk(server: ServedProcess, mode: str, use: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Client(f"{server.url}/mcp", mode=mode, read_timeout_seconds=10) as client:
            await use(client)

    asyncio.run(run())


@MODES
def test_tools_are_listed_and_called(server: ServedProcess, mode: str) -> None:
    async def use(client: Client) -> None:
        assert client.server_info.name == "Demo"
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "count", "fail"]
        result = await client.call_tool("add", {"a": 1, "b": 2})
        assert (result.is_error, result.structured_content) == (False, {"result": 3})
        failed = await client.call_tool("fail", {"text": "on purpose"})
        assert (failed.is_error, failed.content[0].text) == (True, "Error executing tool fail: on purpose")

    talk(server, mode, use)


@MODES
def test_resources_and_prompts(server: ServedProcess, mode: str) -> None:
    async def use(client: Client) -> None:
        read = await client.read_resource("greeting://world")
        assert read.contents[0].text == "Hello, world!"
        prompt = await client.get_prompt("review", {"code": "x = 1"})
        assert prompt.messages[0].content.text == "Please review: x = 1"

    talk(server, mode, use)


@MODES
def test_progress_arrives_while_a_tool_runs(server: ServedProcess, mode: str, request: pytest.FixtureRequest) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async def use(client: Client) -> None:
        result = await client.call_tool("count", {"until": 20}, progress_callback=on_progress)
        assert result.structured_content == {"result": list(range(20))}

    talk(server, mode, use)
    is_stream = "stateless_app" not in request.node.name
    assert seen == ([(number + 1, 20, f"number {number}") for number in range(20)] if is_stream else [])


@MODES
def test_clients_at_once(server: ServedProcess, mode: str) -> None:
    async def one(number: int) -> None:
        async with Client(f"{server.url}/mcp", mode=mode, read_timeout_seconds=20) as client:
            calls = (client.call_tool("add", {"a": number, "b": value}) for value in range(10))
            results = await asyncio.gather(*calls)
            assert [result.structured_content for result in results] == [{"result": number + v} for v in range(10)]

    async def run() -> None:
        await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(run())


def test_other_hosts_are_refused(server: ServedProcess) -> None:
    headers = {"host": "evil.example", "accept": "application/json, text/event-stream"}
    assert httpx.post(f"{server.url}/mcp", json={}, headers=headers).status_code == 421

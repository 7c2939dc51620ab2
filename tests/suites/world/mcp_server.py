"""An MCP server that speaks streamable HTTP: tools, sync and async, with progress and log messages; a resource."""

from __future__ import annotations

import asyncio

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

mcp = MCPServer("Demo", instructions="A server to try a client with.")


@mcp.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@mcp.tool()
async def count(until: int, ctx: Context) -> list[int]:
    """Count, and report each number as progress."""
    numbers = []
    for number in range(until):
        await ctx.report_progress(number + 1, until, f"number {number}")
        await asyncio.sleep(0)
        numbers.append(number)
    return numbers


@mcp.tool()
def fail(text: str) -> str:
    """Fail with a text."""
    raise ToolError(text)


@mcp.resource("greeting://{name}")
def greeting(name: str) -> str:
    """Greet someone by name."""
    return f"Hello, {name}!"


@mcp.prompt()
def review(code: str) -> str:
    """Ask for a review."""
    return f"Please review: {code}"


app = mcp.streamable_http_app()
stateless_app = mcp.streamable_http_app(stateless_http=True, json_response=True)

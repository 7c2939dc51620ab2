"""A tool by the MCP SDK, which serves itself; `mcp_app.py PORT`."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("sums")


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


if __name__ == "__main__":
    server.run(transport="streamable-http", port=int(sys.argv[1]))

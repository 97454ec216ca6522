"""An MCP server as the official SDK makes them since 2026; `grow` gives it another tool, of which it tells."""

from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ToolsListChanged

bus = InMemorySubscriptionBus()
server: MCPServer = MCPServer("modern", version="1", subscriptions=bus)


@server.tool()
async def grow(name: str) -> str:
    """Have another tool."""

    def other() -> str:
        return f"this is {name}"

    server.add_tool(other, name=name)
    await bus.publish(ToolsListChanged())
    return "grown"


@server.tool()
def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers, and answer with structure."""
    return {"sum": a + b}


if __name__ == "__main__":
    server.run("stdio")

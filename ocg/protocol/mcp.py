"""Servers of the Model Context Protocol, whose tools the agent has beside its own."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.client import Client
from ocg.protocol.struct import Struct

# It is part of its tools' names, and the name of a folder.
McpName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")]
# Longer than the agent waits for a server, which may have to be fetched first.
_TEST_S = 200.0
McpState = Literal["starting", "ready", "resting", "failed", "disabled"]


class McpToolItem(Struct, frozen=True):
    """A tool of a server: what the server calls it, and what the agent does."""

    name: str
    title: str
    description: str


class McpServerItem(Struct, frozen=True):
    """A server as it stands. `where` is its command's name, or its URL's origin: what it is given may be secret.

    `why` is what went wrong last, `left_out` why some of its tools are not offered.
    """

    name: str
    kind: Literal["stdio", "http", "sse", ""]
    where: str
    state: McpState
    why: str = ""
    tools: tuple[McpToolItem, ...] = ()
    left_out: tuple[str, ...] = ()


class McpServerList(Struct, frozen=True):
    """The servers that mcp.json names."""

    servers: tuple[McpServerItem, ...]


class McpTest(Struct, frozen=True):
    """How a server did that was connected to anew."""

    name: str
    server: str
    protocol: str
    connect_s: float
    list_s: float
    tools: tuple[McpToolItem, ...]
    left_out: tuple[str, ...] = ()


class McpClient:
    """What is asked of the agent about them, over a client of it. Names are to be checked before."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> McpServerList:
        """List them."""
        return await self._client.call("GET", "/v1/mcp", McpServerList)

    async def test(self, name: str) -> McpTest:
        """Connect to one anew and list its tools. Raises NOT_FOUND, and what it fails with."""
        return await self._client.call("POST", f"/v1/mcp/{name}/test", McpTest, silence_s=_TEST_S)

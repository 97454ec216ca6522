"""The agent's MCP servers over HTTP: seen, and tried."""

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.names import checked
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.mcp import McpClient, McpName, McpServerList, McpTest


class McpRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = McpClient(agent)

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="MCP")
        yield shared(
            "GET", "/v1/mcp", "List the MCP servers, with their tools", self.servers, McpServerList, scope="read"
        )
        yield shared(
            "POST", "/v1/mcp/{name}/test", "Connect to an MCP server anew, and list its tools", self.test, McpTest,
            named=McpName, errors=(Code.NOT_FOUND, Code.CONFIG_INVALID, *UPSTREAM_ERRORS), scope="admin",
        )  # fmt: skip

    async def servers(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._agent.list())

    async def test(self, request: Request) -> Response:
        """Connect to one anew."""
        return answers.answer(await self._agent.test(checked(request.path_params["name"], McpName, "name")))

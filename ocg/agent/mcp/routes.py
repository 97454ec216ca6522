"""The routes by which MCP servers are seen and tried."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.mcp.servers import Servers
from ocg.lifecycle import answers


class McpRoutes:
    """Shows and tries them."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/v1/mcp", self.list, methods=["GET"]),
            Route("/v1/mcp/{name}/test", self.test, methods=["POST"]),
        ]

    async def list(self, _: Request) -> Response:
        """List them."""
        return answers.answer(self._servers.list())

    async def test(self, request: Request) -> Response:
        """Connect to one anew."""
        return answers.answer(await self._servers.test(request.path_params["name"]))

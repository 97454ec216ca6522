"""A server over HTTP that does not let go holds up nobody: neither a reload nor the agent's end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ocg.agent.confinement.refusal import Refusal
from ocg.agent.mcp import Servers
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.file import Found, McpFile
from ocg.agent.mcp.servers import connecting

_RESULTS = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "clinging", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
}


class Clinging:
    """A server that never answers when a session is to end."""

    def __init__(self) -> None:
        self.farewells = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes by one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = head.partition("content-length:")[2].partition("\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                if head.startswith("delete "):
                    self.farewells += 1
                    await reader.read()
                writer.write(_answer(json.loads(body or "{}")))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _answer(asked: dict[str, object]) -> bytes:
    if "id" not in asked:
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    result = _RESULTS.get(str(asked["method"]))
    said = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
    body = json.dumps({"jsonrpc": "2.0", "id": asked["id"]} | said).encode()
    head = f"Content-Type: application/json\r\nMcp-Session-Id: s\r\nContent-Length: {len(body)}"
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body


@asynccontextmanager
async def _listening(server: Clinging) -> AsyncIterator[str]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp"
    listener.close()


async def test_a_session_is_left_even_if_the_server_does_not_answer_to_that() -> None:
    server = Clinging()
    async with _listening(server) as url:
        servers = Servers(McpFile(Path("/nowhere"), Path("/nowhere/env.config")), connecting(Refusal("", "")))
        await servers.apply(Found({"s": Entry(url=url)}))
        async with asyncio.timeout(60):
            while not servers.tools():  # noqa: ASYNC110 - there is no event of it
                await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            await servers.close()
    assert server.farewells == 1

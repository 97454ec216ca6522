"""Servers over HTTP that do not let go: neither a reload nor the agent's end waits for them, and no memory fills."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from ocg.agent.confinement.refusal import Refusal
from ocg.agent.mcp import Servers
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.file import Found, McpFile
from ocg.agent.mcp.servers import connecting
from ocg.errors import OcgError

_RESULTS = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "clinging", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
}
_MUCH = 128 << 20


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


class Endless:
    """A server that leads to itself, with a body that does not end."""

    def __init__(self) -> None:
        self.bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the first request of a connection."""
        await reader.readuntil(b"\r\n\r\n")
        head = "Location: /mcp\r\nContent-Type: text/event-stream\r\nConnection: close"
        writer.write(f"HTTP/1.1 307 Temporary Redirect\r\n{head}\r\n\r\n".encode())
        try:
            while self.bytes < _MUCH:
                writer.write(b"x" * (1 << 16))
                await writer.drain()
                self.bytes += 1 << 16
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _listening(server: Clinging | Endless) -> AsyncIterator[str]:
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


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_what_the_sdk_reads_whole_is_bounded_whatever_it_says_it_is(kind: Literal["http", "sse"]) -> None:
    server = Endless()
    async with _listening(server) as url:
        with pytest.raises(OcgError):
            async with connecting(Refusal("", ""))("s", Entry(url=url, type=kind)):
                pass
    assert server.bytes < _MUCH // 2

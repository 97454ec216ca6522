"""All servers that mcp.json names."""

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from ocg.agent.confinement import Confinement
from ocg.agent.mcp.base import Connect, Session
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.file import Found, McpFile
from ocg.agent.mcp.server import Server, items_of, listing
from ocg.agent.mcp.tool import McpTool
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol.mcp import McpServerItem, McpServerList, McpTest

_log = logging.getLogger(__name__)

# Some providers take no more than this in all.
_MAX_TOOLS = 100
_END_S = 2.0


@dataclass(frozen=True, slots=True)
class _Running:
    server: Server
    task: asyncio.Task[None]


class Servers:
    """They run, and stop, as the file says."""

    def __init__(self, file: McpFile, connect: Connect) -> None:
        self._file = file
        self._connect = connect
        self._found = Found()
        self._running: dict[str, _Running] = {}

    async def start(self) -> None:
        """Begin with what the file says. What is wrong with it is logged, and keeps nothing else from its work."""
        try:
            found = await self._file.read()
        except OcgError as error:
            _log.error("no MCP server is used: %s", error)
            return
        for mistake in found.mistakes.values():
            _log.error("an MCP server is not used: %s", mistake)
        await self.apply(found)

    async def read(self) -> Found:
        """Read the file again. Raises CONFIG_INVALID for a mistake anywhere in it."""
        found = await self._file.read()
        for mistake in found.mistakes.values():
            raise mistake
        return found

    async def apply(self, found: Found) -> None:
        """Do as the file says: what is as it was goes on."""
        wanted = {name: entry for name, entry in found.entries.items() if not entry.disabled}
        gone = [name for name, one in self._running.items() if wanted.get(name) != one.server.entry]
        await _ended([self._running.pop(name).task for name in gone])
        self._found = found
        for name, entry in wanted.items():
            if name not in self._running:
                server = Server(name, entry, self._connect)
                self._running[name] = _Running(server, asyncio.create_task(server.run_for_ever()))

    async def close(self) -> None:
        """End all of them."""
        await self.apply(Found())

    def tools(self) -> tuple[McpTool, ...]:
        """Return the tools of all, as far as they are known by now."""
        found = [tool for name in sorted(self._running) for tool in self._running[name].server.tools]
        return tuple(found[:_MAX_TOOLS])

    def list(self) -> McpServerList:
        """Return how they stand."""
        offered = {tool.name for tool in self.tools()}
        found = [_offering(one.server.item(), offered) for one in self._running.values()]
        for name, entry in self._found.entries.items():
            if entry.disabled:
                found.append(McpServerItem(name=name, kind=entry.kind, where=entry.where, state="disabled"))
        for name, mistake in self._found.mistakes.items():
            found.append(McpServerItem(name=name, kind="", where="", state="failed", why=str(mistake)))
        return McpServerList(servers=tuple(sorted(found, key=lambda one: one.name)))

    async def test(self, name: str) -> McpTest:
        """Connect to one anew, list its tools, and leave it. Raises NOT_FOUND, and what it fails with."""
        if name in self._found.mistakes:
            raise self._found.mistakes[name]
        entry = self._found.entries.get(name)
        if entry is None:
            raise OcgError(Code.NOT_FOUND, f"mcp.json has no server {name!r}", "ocg mcp list shows them")
        began_s = time.monotonic()
        async with self._connect(name, entry) as session:
            connected_s = time.monotonic()
            tools, left_out = await listing(name, entry, session, session.call)
            return McpTest(
                name=name,
                server=session.title,
                protocol=session.protocol,
                connect_s=connected_s - began_s,
                list_s=time.monotonic() - connected_s,
                tools=items_of(tools),
                left_out=left_out,
            )


def _offering(item: McpServerItem, offered: Collection[str]) -> McpServerItem:
    """Leave out of a server's tools what is too much for all servers together."""
    kept = tuple(tool for tool in item.tools if tool.name in offered)
    if kept == item.tools:
        return item
    why = f"{len(item.tools) - len(kept)} tools: all servers together have {_MAX_TOOLS} at the most"
    return msgspec.structs.replace(item, tools=kept, left_out=(*item.left_out, why))


@asynccontextmanager
async def opened(settings: AgentSettings, confinement: Confinement) -> AsyncIterator[Servers]:
    """Build them, none of which is started yet; leaving the block ends those that are."""
    file = McpFile(settings.data_dir, settings.config_file)
    servers = Servers(file, connecting(confinement))
    try:
        yield servers
    finally:
        await servers.close()


def connecting(confinement: Confinement) -> Connect:
    """Connect by the SDK, which is imported in a thread, when first a server is there to connect to."""

    @asynccontextmanager
    async def connect(name: str, entry: Entry) -> AsyncIterator[Session]:
        module = await asyncio.to_thread(importlib.import_module, "ocg.agent.mcp.session")
        async with module.connect(name, entry, confinement) as session:
            yield session

    return connect


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End them; who still has to do with a server that does not let go is told once more."""
    for _ in range(2):
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)

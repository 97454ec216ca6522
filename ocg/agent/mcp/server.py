"""One server: connected to in the background, anew when it is gone and somebody wants it."""

import asyncio
import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from ocg.agent.mcp.base import Answer, Connect, Session
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.tool import Call, McpTool, tools_of
from ocg.errors import Code, OcgError
from ocg.protocol.mcp import McpServerItem, McpState, McpToolItem

_log = logging.getLogger(__name__)

_CALM_S = 1.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0
# One that did its work for so long may be started again at once.
_WELL_S = 60.0


class Server:
    """A server that mcp.json names. Its tools stay known while it is away: a call brings it back."""

    def __init__(self, name: str, entry: Entry, connect: Connect) -> None:
        self.name = name
        self.entry = entry
        self.tools: tuple[McpTool, ...] = ()
        self._connect = connect
        self._left_out: tuple[str, ...] = ()
        self._session: Session | None = None
        self._state: McpState = "starting"
        self._why = ""
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._failures = 0

    def item(self) -> McpServerItem:
        """Return how it stands."""
        return McpServerItem(
            name=self.name,
            kind=self.entry.kind,
            where=self.entry.where,
            state=self._state,
            why=self._why,
            tools=items_of(self.tools),
            left_out=self._left_out,
        )

    async def run_for_ever(self) -> None:
        """Keep it connected."""
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                await self._live()
            except OcgError as error:
                self._failures = 1 if clock() - began_s > _WELL_S else self._failures + 1
                _log.warning("%s", error)
                await self._rest(error)
            except Exception:  # noqa: BLE001 - whatever it is, it is said, and the other servers go on
                _log.exception("the MCP server %s ended by a bug", self.name)
                self._failures += 1
                await self._rest(OcgError(Code.INTERNAL, "a bug in OCG"))

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call one of its tools, once it is connected. Raises UNAVAILABLE while it rests after it has failed."""
        while (session := self._session) is None:
            if self._state == "failed":
                raise OcgError(Code.UNAVAILABLE, self._why, f"it is tried again soon; see: ocg mcp test {self.name}")
            self._wanted.set()
            await self._news.wait()
        try:
            return await session.call(tool, arguments)
        except asyncio.CancelledError:
            session.news.set()  # it took too long: its list is read again, which shows whether it still answers
            raise

    async def _live(self) -> None:
        self._become("starting", self._why)
        async with self._connect(self.name, self.entry) as session:
            try:
                while session.over is None:
                    session.news.clear()
                    self.tools, self._left_out = await listing(self.name, self.entry, session, self.call)
                    self._session = session
                    self._become("ready")
                    await session.news.wait()
                    if session.over is None:  # one that tells of news all the time is not listed all the time
                        await asyncio.sleep(_CALM_S)
            finally:
                self._session = None
            raise session.over

    async def _rest(self, error: OcgError) -> None:
        """Leave it alone for a while, and once its tools are known, until it is wanted."""
        self._become("failed", error.message)
        await asyncio.sleep(min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S))
        if self.tools:
            self._wanted.clear()
            self._become("resting", self._why)
            await self._wanted.wait()

    def _become(self, state: McpState, why: str = "") -> None:
        self._state, self._why = state, why
        self._news.set()
        self._news = asyncio.Event()


async def listing(name: str, entry: Entry, session: Session, call: Call) -> tuple[tuple[McpTool, ...], tuple[str, ...]]:
    """List what is offered of a server's tools, and why others are not."""
    listed, is_more = await session.tools()
    wanted = [one for one in listed if _is_wanted(one.name, entry)]
    found, left_out = tools_of(name, wanted, call, entry.timeout_s)
    return tuple(found), (*left_out, *(["there are more than are taken"] if is_more else []))


def items_of(tools: tuple[McpTool, ...]) -> tuple[McpToolItem, ...]:
    """Describe tools to people."""
    return tuple(McpToolItem(name=one.name, title=one.title, description=one.description) for one in tools)


def _is_wanted(name: str, entry: Entry) -> bool:
    def fits(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return fits(entry.include_tools) and not fits(entry.exclude_tools)

"""OCG as an MCP server, by the official SDK: what the agent remembers, and its conversations."""

import datetime as dt
from collections.abc import Awaitable
from typing import Annotated, Literal, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from ocg import __version__
from ocg.errors import OcgError
from ocg.protocol import events
from ocg.protocol.clients import AgentClient
from ocg.protocol.messages import MAX_TEXT_CHARS, MemoryRequest, TurnRequest

T = TypeVar("T")

_ABOUT = """\
OCG is an AI agent on this machine. What it remembers of its user, and of earlier conversations, can be looked up and
added to here, its conversations can be read, and it can be asked to do something itself."""
_MAX_READ_CHARS = 100_000
_Limit = Annotated[int, Field(ge=1, le=100, description="how many at the most")]
_Session = Annotated[str, Field(pattern=r"^[A-Za-z0-9@_-][A-Za-z0-9._@-]{0,127}$", description="a conversation's id")]


async def serve(client: AgentClient) -> None:
    """Serve on standard input and output until that ends."""
    async with client:
        await create_server(client).run_stdio_async()


def create_server(client: AgentClient) -> MCPServer:
    """Build it over a client of the agent."""
    tools = Tools(client)
    server: MCPServer = MCPServer("ocg", instructions=_ABOUT, version=__version__, log_level="ERROR")
    for tool in (
        tools.memory_search,
        tools.memory_store,
        tools.session_list,
        tools.session_read,
        tools.session_search,
        tools.ask,
    ):
        server.add_tool(tool, structured_output=False)
    return server


class Tools:
    """Its tools; what their arguments are, and what clients are told of them, is read off here."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    async def memory_search(
        self,
        query: Annotated[str, Field(min_length=1, max_length=1000, description="what to look for")],
        limit: _Limit = 10,
    ) -> str:
        """Look for what OCG remembers of its user and of earlier conversations."""
        found = (await _done(self._client.memories(query, limit=limit))).memories
        return "\n".join(f"- {one.text} ({one.kind}, {_day(one.updated_at)})" for one in found) or "nothing"

    async def memory_store(
        self,
        text: Annotated[str, Field(min_length=1, max_length=8192, description="a fact that stands on its own")],
        kind: Literal["fact", "preference", "decision", "note"] = "fact",
    ) -> str:
        """Have OCG remember a fact for later conversations."""
        kept = await _done(self._client.remember(MemoryRequest(text=text, kind=kind)))
        return f"remembered as {kept.id}"

    async def session_list(self, limit: _Limit = 20) -> str:
        """List OCG's conversations, the latest first."""
        found = (await _done(self._client.sessions())).sessions
        latest = sorted(found, key=lambda one: one.updated_at, reverse=True)[:limit]
        return "\n".join(f"{one.id}  {_day(one.updated_at)}  {one.title}" for one in latest) or "none"

    async def session_read(self, session: _Session) -> str:
        """Read a conversation; of a long one, its end."""
        said = await self._said(session)
        return said if len(said) <= _MAX_READ_CHARS else f"[what came before is left out]\n{said[-_MAX_READ_CHARS:]}"

    async def session_search(
        self,
        query: Annotated[str, Field(min_length=1, max_length=200, description="words as they were said")],
        limit: _Limit = 10,
    ) -> str:
        """Look through the latest 100 conversations for words, and give the lines that have them."""
        found: list[str] = []
        sessions = (await _done(self._client.sessions())).sessions
        for one in sorted(sessions, key=lambda one: one.updated_at, reverse=True)[:100]:
            lines = (await self._said(one.id)).splitlines()
            found += (f"{one.id}: {line[:500]}" for line in lines if query.casefold() in line.casefold())
            if len(found) >= limit:
                break
        return "\n".join(found[:limit]) or "nothing"

    async def ask(
        self,
        message: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)],
        session: _Session | None = None,
    ) -> str:
        """Ask OCG's agent, which has tools of its own on this machine; without a session it begins a new one."""
        return await _done(self._asked(TurnRequest(message=message, session_id=session)))

    async def _asked(self, request: TurnRequest) -> str:
        async for event in self._client.turn(request):
            if isinstance(event, events.TurnCompleted):
                return f"{event.text}\n\n(session {event.session_id})"
            if isinstance(event, events.TurnFailed):
                raise ToolError(f"{event.message} {event.hint}")
        raise ToolError("the turn has no end")

    async def _said(self, session: str) -> str:
        found = (await _done(self._client.transcript(session))).messages
        return "\n".join(f"{one.role}: {one.content}" for one in found if one.role in {"user", "assistant"})


async def _done(asked: Awaitable[T]) -> T:
    """Wait for it. Raises ToolError, whose text the client's model is told."""
    try:
        return await asked
    except OcgError as error:
        raise ToolError(str(error)) from None


def _day(unix_s: float) -> str:
    return f"{dt.datetime.fromtimestamp(unix_s, dt.UTC).astimezone():%Y-%m-%d %H:%M}"

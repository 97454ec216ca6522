"""A session with a server by MCP's official SDK. It takes 0.7 s to import: `load` does that, in a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client import IncomingMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from ocg import __version__
from ocg.agent.confinement import Confinement
from ocg.agent.mcp import content
from ocg.agent.mcp.base import Answer, Listed
from ocg.agent.mcp.bounded import bounded
from ocg.agent.mcp.entry import Entry
from ocg.agent.mcp.http import http, sse
from ocg.agent.mcp.stdio import stdio
from ocg.errors import Code, OcgError

T = TypeVar("T")

# npx and uvx may have to fetch the server first.
_CONNECT_S = 120.0
_ANSWER_S = 60.0
_LIST_S = 20.0
_MAX_PAGES = 20
_MAX_TOOLS = 64
_MAX_MESSAGE_CHARS = 500


class SdkSession:
    """See Session."""

    def __init__(self, name: str, entry: Entry, confinement: Confinement) -> None:
        self.news = asyncio.Event()
        self.over: OcgError | None = None
        self.title = ""
        self.protocol = ""
        self._name = name
        self._entry = entry
        self._confinement = confinement
        self._client: Client | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Be connected; leaving the block ends it."""
        async with AsyncExitStack() as owned:
            async with asyncio.timeout(_CONNECT_S):
                client = await self._enter(owned)
            self._client = client
            info = client.server_info
            self.title = f"{info.name} {info.version}"[:100] if info else ""
            self.protocol = client.protocol_version
            listening = asyncio.create_task(self._listen(client))
            try:
                yield
            finally:
                listening.cancel()
                await asyncio.wait({listening})

    async def tools(self) -> tuple[tuple[Listed, ...], bool]:
        """See Session. Raises TimeoutError as well."""
        found: list[Listed] = []
        cursor: str | None = None
        async with asyncio.timeout(_LIST_S):
            for _ in range(_MAX_PAGES):
                page = await self._answered(self._connected().list_tools(cursor=cursor))
                found += (Listed(one.name, one.description or one.title or "", one.input_schema) for one in page.tools)
                cursor = page.next_cursor
                if cursor is None or len(found) > _MAX_TOOLS:
                    break
        return tuple(found[:_MAX_TOOLS]), cursor is not None or len(found) > _MAX_TOOLS

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """See Session.

        The SDK's own `call_tool` holds results against a schema of the server's, in the event loop, for as long as
        that takes.
        """
        asked = types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments=dict(arguments)))
        timeout_s = self._entry.timeout_s
        result = await self._answered(
            self._connected().session.send_request(asked, types.CallToolResult, request_read_timeout_seconds=timeout_s)
        )
        return Answer(content.text_of(result), bool(result.is_error))

    async def _enter(self, owned: AsyncExitStack) -> Client:
        """Connect. Where nobody said how a URL is spoken to, both ways are tried, the newer one first."""
        try:
            return await owned.enter_async_context(self._new(self._transport()))
        except Exception as error:
            if self._entry.type is not None or self._entry.kind != "http" or not isinstance(_first(error), MCPError):
                raise
            with suppress(Exception):  # what went wrong first says more
                return await owned.enter_async_context(self._new(sse(self._entry)))
            raise

    def _transport(self) -> AbstractAsyncContextManager[Any]:
        match self._entry.kind:
            case "stdio":
                return stdio(self._name, self._entry, self._confinement, self._end)
            case "http":
                return http(self._entry)
            case "sse":
                return sse(self._entry)

    def _new(self, transport: AbstractAsyncContextManager[Any]) -> Client:
        return Client(
            bounded(transport),
            read_timeout_seconds=_ANSWER_S,
            message_handler=self._hear,
            client_info=types.Implementation(name="ocg", version=__version__),
            cache=None,
        )

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self.news.set()

    async def _listen(self, client: Client) -> None:
        """Have the server tell of changes where it has to be asked for that, as since 2026; `_hear` hears of them."""
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return
        with suppress(Exception):  # it need not tell; the list that there is stays
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    pass

    def _end(self, why: OcgError) -> None:
        self.over = why
        self.news.set()

    def _connected(self) -> Client:
        if self.over is not None:
            raise self.over
        assert self._client is not None  # noqa: S101 - what gives a session away is `opened`
        return self._client

    async def _answered(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except MCPError as error:
            if error.code == types.CONNECTION_CLOSED or error.message == "Session terminated":
                self._end(self.over or error_of(self._name, error))
            raise self.over or error_of(self._name, error) from None
        except (ValidationError, ValueError, RuntimeError) as error:
            raise error_of(self._name, error) from None


@asynccontextmanager
async def connect(name: str, entry: Entry, confinement: Confinement) -> AsyncIterator[SdkSession]:
    """See Connect."""
    session = SdkSession(name, entry, confinement)
    try:
        async with session.opened():
            yield session
    except OcgError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the SDK meets, the agent goes on
        raise session.over or error_of(name, error) from None


def error_of(name: str, error: Exception) -> OcgError:
    """Say what went wrong without what may be secret: URLs have keys in them."""
    error = _first(error)
    match error:
        case OcgError():
            return error
        case TimeoutError():
            return OcgError(Code.TIMEOUT, f"the MCP server {name} did not answer in time", f"ocg mcp test {name}")
        case httpx2.HTTPStatusError():
            why = f"HTTP {error.response.status_code}"
        case MCPError() | httpx2.TransportError():
            why = " ".join(str(error).split())[:_MAX_MESSAGE_CHARS] or type(error).__name__
        case ValidationError():
            why = "it answered what the protocol does not have"
        case _:
            why = type(error).__name__
    return OcgError(Code.UNAVAILABLE, f"the MCP server {name}: {why}", f"ocg mcp test {name}")


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error

"""What a session with a server is; only ocg.agent.mcp.session knows the SDK, which takes long to import."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ocg.agent.mcp.entry import Entry
from ocg.errors import OcgError


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as its server describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call, as text."""

    text: str
    is_error: bool = False


class Session(Protocol):
    """A session with a server.

    `news` is set when its list of tools changed, and when the session is over, of which `over` says why. `title` is
    how the server calls itself.
    """

    news: asyncio.Event
    over: OcgError | None
    title: str
    protocol: str

    async def tools(self) -> tuple[tuple[Listed, ...], bool]:
        """List its tools; whether there are more than are taken. Raises OcgError."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Call one. Raises OcgError when no answer came."""


# Raises OcgError where there is no session to be had, and when one breaks.
Connect = Callable[[str, Entry], AbstractAsyncContextManager[Session]]

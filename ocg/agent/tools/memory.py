"""Remembering and recalling."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from ocg.agent.memory import Memories
from ocg.agent.memory.records import Draft
from ocg.agent.tools.base import Place
from ocg.protocol.approvals import Decision
from ocg.protocol.messages import Memory


class SearchArguments(msgspec.Struct, frozen=True):
    """What to look for."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=1000, description="what to look for")]
    limit: Annotated[int, msgspec.Meta(ge=1, le=20, description="how many memories at the most")] = 5


class StoreArguments(msgspec.Struct, frozen=True):
    """What to keep."""

    text: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=8192,
            pattern="^[^\\u0000]*$",
            description="one fact, in a sentence that stands on its own",
        ),
    ]
    kind: Annotated[
        Literal["fact", "preference", "decision", "note"], msgspec.Meta(description="what kind of thing it is")
    ] = "fact"
    importance: Annotated[float, msgspec.Meta(ge=0.0, le=1.0, description="how much it matters, 0 to 1")] = 0.5


class MemorySearchTool:
    """See Tool."""

    name = "memory_search"
    description = "Look for what is remembered of the user and of earlier conversations."
    default: Decision = "allow"
    arguments = SearchArguments
    timeout_s = 10.0
    is_repeatable = True
    is_outside = False

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    async def run(self, arguments: SearchArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Return what is found, a line each."""
        found = await self._memories.search(arguments.query, arguments.limit)
        return "\n".join(_said(memory) for memory in found) or "nothing is remembered of that"


class MemoryStoreTool:
    """See Tool. Storing the same text again is one memory, so a repeat does no harm; it may only propose."""

    name = "memory_store"
    description = "Remember a fact for later conversations."
    default: Decision = "allow"
    arguments = StoreArguments
    timeout_s = 10.0
    is_repeatable = True
    is_outside = False

    def __init__(self, memories: Memories, *, is_proposing: bool = False) -> None:
        self._memories = memories
        self._is_proposing = is_proposing

    async def run(self, arguments: StoreArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Keep or propose it."""
        draft = Draft(
            text=arguments.text,
            kind=arguments.kind,
            importance=arguments.importance,
            source="model",
            is_proposed=self._is_proposing,
        )
        await self._memories.keep(draft)
        return "proposed: it is remembered once the owner has accepted it" if self._is_proposing else "remembered"


def _said(memory: Memory) -> str:
    """Write a memory out, with when it was last said: of two that differ, the newer one holds."""
    day = dt.datetime.fromtimestamp(memory.updated_at).astimezone()
    return f"- {memory.text} ({memory.kind}, {day:%Y-%m-%d})"

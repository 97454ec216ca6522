"""The agent answers a chat: its turn's events become pieces."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from ocg.errors import Code, OcgError
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.chats.turn import AGENT_MODEL
from ocg.gateway.tasks import Tasks
from ocg.gateway.upstream import Agent
from ocg.protocol.events import (
    LAST,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnResumed,
    TurnStarted,
)
from ocg.protocol.messages import TurnRequest


class AgentChats:
    """Runs turns for chats."""

    def __init__(self, agent: Agent, tasks: Tasks) -> None:
        self._agent = agent
        self._tasks = tasks

    async def pieces(self, asked: TurnRequest) -> AsyncGenerator[Piece, None]:
        """Give a turn's pieces. Raises what it failed with."""
        telling = _Telling()
        async with aclosing(self._turn(asked)) as events:
            async for event in events:
                for piece in telling.of(event):
                    yield piece

    async def _turn(self, asked: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """Run a turn; one that belongs to no session ends with whoever waits for it."""
        is_over = False
        try:
            async with aclosing(self._agent.turn(asked)) as events:
                async for event in events:
                    is_over = isinstance(event, LAST)
                    yield event
        except OcgError:
            is_over = True  # or out of reach
            raise
        finally:
            if not is_over and asked.kind == "api":
                self._tasks.start(self._abandon(asked))

    async def _abandon(self, asked: TurnRequest) -> None:
        """Cancel a turn; joined by its message id, it says its own, even if its client left before it began."""
        async with aclosing(self._agent.turn(asked)) as events:
            async for event in events:
                if not isinstance(event, LAST):
                    await self._agent.cancel(event.turn_id)
                break


class _Telling:
    """Turns a turn's events into pieces; the agent's own tool calls show nothing, but part what is said around them."""

    def __init__(self) -> None:
        self._has_begun = False
        self._said_seq = 0
        self._parts_before = ""
        self._ends_open = False

    def of(self, event: TurnEvent) -> Iterator[Piece]:
        """Give what an event adds. Raises what a turn failed with, and UNAVAILABLE when it takes back what was said."""
        if isinstance(event, TurnStarted):  # nothing shows yet how the turn fares
            return
        if isinstance(event, TurnFailed):
            raise failure(event)
        if isinstance(event, TurnResumed) and event.kept < self._said_seq:
            raise OcgError(Code.UNAVAILABLE, "the agent was restarted in the middle of its answer", "ask again")
        if not self._has_begun:
            self._has_begun = True
            yield Begun(event.turn_id, AGENT_MODEL)
        yield from self._shown(event)

    def _shown(self, event: TurnEvent) -> Iterator[Piece]:
        match event:
            case TextDelta():
                yield Text(self._parts_before + event.text)
                self._said_seq, self._parts_before = event.seq, ""
                self._ends_open = not event.text[-1:].isspace()
            case ReasoningDelta():
                yield Thought(event.text)
            case TurnCompleted():
                for index, call in enumerate(event.tool_calls):
                    yield CallBegun(index, call.id, call.name)
                    yield Arguments(index, call.arguments)
                yield Ended(event.finish, event.usage)
            case _:
                if isinstance(event, ToolCall) and self._said_seq and self._ends_open:
                    self._parts_before = "\n\n"
                yield Busy()


def failure(event: TurnFailed) -> OcgError:
    """Turn a failed turn back into the error it was."""
    try:
        return OcgError(Code(event.code), event.message, event.hint)
    except ValueError:  # a newer agent's
        return OcgError(Code.PROVIDER, event.message, event.hint)

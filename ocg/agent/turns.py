"""The turn engine: the next step follows from what is on disk, so that a turn cut off anywhere is taken up there.

After the user or a tool, ask the model; after a reply with unanswered calls, run them; after a plain reply, done.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from ocg.agent import context
from ocg.agent.live import LiveTurn
from ocg.agent.memory import Memories
from ocg.agent.providers.base import Provider, Reply
from ocg.agent.store import Store, Turn, TurnError
from ocg.agent.tools import Toolbox
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import Memory, Message, ToolUse, TurnRequest

_log = logging.getLogger(__name__)

MAX_STEPS = 16
MAX_TURN_S = 1800.0
MAX_QUEUED_IN_SESSION = 8
MAX_QUEUED = 64


class Turns:
    """Runs turns: one at a time in a session, in order; sessions side by side."""

    def __init__(
        self, *, store: Store, memories: Memories, provider: Provider, toolbox: Toolbox, settings: AgentSettings
    ) -> None:
        self._store = store
        self._memories = memories
        self._provider = provider
        self._toolbox = toolbox
        self._settings = settings
        self._live: dict[str, LiveTurn] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def resume(self) -> None:
        """Take up the turns that a stop or a crash cut off."""
        for turn in await self._store.unfinished():
            if turn.id not in self._live:  # its client may have been faster
                _log.info("taking up turn %s where it stopped", turn.id)
                self._launch(turn)

    async def submit(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        """Keep a message on disk, then give its turn's events, to the last. A repeat joins the turn there is.

        Raises BUSY, with nothing kept, when too much waits already.
        """
        self._check_room(request)
        turn = await self._store.accept(request)
        if turn.is_open and turn.id not in self._live:
            self._launch(turn)
        live = self._live.get(turn.id)
        return live.follow() if live is not None else self._replay(turn)

    def _check_room(self, request: TurnRequest) -> None:
        """Raise BUSY when a queue is full, unless the request repeats one that is in it."""
        waiting = [live.turn for live in self._live.values()]
        if any(turn.message_id == request.message_id for turn in waiting):
            return
        here = sum(turn.session_id == request.session_id for turn in waiting)
        if here >= MAX_QUEUED_IN_SESSION or len(waiting) >= MAX_QUEUED:
            raise OcgError(Code.BUSY, f"{max(here, 1)} messages wait already", "wait for an answer, then ask again")

    def _launch(self, turn: Turn) -> None:
        live = self._live[turn.id] = LiveTurn(turn)
        task = self._tasks[turn.id] = asyncio.create_task(self._run(live), name=f"turn {turn.id}")
        task.add_done_callback(lambda _: self._forget(turn))

    def _forget(self, turn: Turn) -> None:
        self._live.pop(turn.id, None)
        self._tasks.pop(turn.id, None)
        if not any(live.turn.session_id == turn.session_id for live in self._live.values()):
            self._locks.pop(turn.session_id, None)

    async def cancel(self, turn_id: str) -> None:
        """End a turn now; what it said is kept. Raises NOT_FOUND when it does not run."""
        live, task = self._live.get(turn_id), self._tasks.get(turn_id)
        if live is None or task is None:
            raise OcgError(Code.NOT_FOUND, f"turn {turn_id!r} does not run", "it may be over")
        live.is_cancelled = True
        task.cancel()
        await asyncio.wait({task})

    async def cancel_session(self, session_id: str) -> None:
        """End all turns of a session."""
        for live in [live for live in self._live.values() if live.turn.session_id == session_id]:
            await self.cancel(live.turn.id)

    async def close(self) -> None:
        """Leave what runs as it is on disk; the next start takes it up."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, live: LiveTurn) -> None:
        """Wait for the session's turn, run, and put every end it can have on disk."""
        turn = live.turn
        try:
            async with self._locks.setdefault(turn.session_id, asyncio.Lock()), asyncio.timeout(MAX_TURN_S):
                await self._store.begin(turn)
                live.emit(events.TurnStarted, message_id=turn.message_id)
                await self._advance(live)
        except asyncio.CancelledError:
            if not live.is_cancelled:
                live.abandon()
                raise
            await self._fail(live, OcgError(Code.CANCELLED, "the turn was cancelled"))
        except TimeoutError:
            await self._fail(
                live, OcgError(Code.TIMEOUT, f"the turn took longer than {MAX_TURN_S:g} s", "ask for less")
            )
        except OcgError as error:
            await self._fail(live, error)
        except Exception:  # noqa: BLE001 - whatever a turn meets, its client hears of it
            _log.exception("turn %s ended by a bug", turn.id)
            await self._fail(live, OcgError(Code.INTERNAL, "a bug in OCG; the log has its traceback", "ocg logs"))

    async def _advance(self, live: LiveTurn) -> None:
        turn = live.turn
        memories = await self._recall(turn.message)
        for _ in range(MAX_STEPS):
            steps = await self._store.steps(turn.id)
            open_calls = _open_calls(steps)
            if open_calls:
                for call in open_calls:
                    await self._call(live, call)
            elif steps[-1].role == "assistant":
                await self._complete(live, steps[-1].content)
                return
            else:
                await self._ask(live, memories)
        raise OcgError(Code.TOO_LARGE, f"the turn took more than {MAX_STEPS} steps", "ask for less at once")

    async def _ask(self, live: LiveTurn, memories: tuple[Memory, ...]) -> None:
        """Ask the model for the next step and keep it."""
        turn = live.turn
        tools = self._toolbox.specs() if self._provider.takes_tools else ()
        prompt = context.build(
            await self._store.history(turn.session_id),
            context=turn.context,
            memories=memories,
            tools=tools,
            context_tokens=await self._provider.context_tokens(),
        )
        live.text = ""
        async for piece in self._provider.reply(prompt.messages, tools, max_tokens=prompt.max_tokens):
            if isinstance(piece, Reply):
                live.text = ""
                await self._store.add(turn, "assistant", piece.text, tool_calls=piece.tool_calls, usage=piece.usage)
            else:
                live.text += piece
                live.emit(events.TextDelta, text=piece)

    async def _call(self, live: LiveTurn, call: ToolUse) -> None:
        live.emit(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
        outcome = await self._toolbox.run(call)
        await self._store.add(live.turn, "tool", outcome.content, tool_call_id=call.id)
        live.emit(
            events.ToolResult, call_id=call.id, name=call.name, content=outcome.content, is_error=outcome.is_error
        )

    async def _complete(self, live: LiveTurn, text: str) -> None:
        done = await self._store.finish(live.turn.id)
        live.emit(events.TurnCompleted, text=text, usage=done.usage)
        _log.info("turn %s completed, %d tokens", live.turn.id, done.usage.total_tokens)

    async def _fail(self, live: LiveTurn, error: OcgError) -> None:
        """Keep what was said, and why it ended."""
        _log.info("turn %s failed: %s", live.turn.id, error)
        try:
            if live.text:
                await self._store.add(live.turn, "assistant", live.text)
            await self._store.finish(live.turn.id, TurnError(error.code, error.message, error.hint))
        except OcgError as worse:
            _log.error("the end of turn %s could not be kept: %s", live.turn.id, worse)
        live.emit(events.TurnFailed, code=error.code, message=error.message, hint=error.hint)

    async def _recall(self, message: str) -> tuple[Memory, ...]:
        settings = self._settings
        if not settings.auto_recall or not settings.recall_limit:
            return ()
        found = await self._memories.search(message, settings.recall_limit)
        return tuple(memory for memory in found if (memory.score or 0.0) >= settings.recall_min_score)

    async def _replay(self, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Tell a turn that is over once more, from disk."""
        live = LiveTurn(turn)
        live.emit(events.TurnStarted, message_id=turn.message_id)
        steps = await self._store.steps(turn.id)
        names = {call.id: call.name for step in steps for call in step.tool_calls}
        for step in steps:
            if step.role == "assistant" and step.content:
                live.emit(events.TextDelta, text=step.content)
            for call in step.tool_calls:
                live.emit(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
            if step.role == "tool" and step.tool_call_id:
                name = names.get(step.tool_call_id, "")
                live.emit(events.ToolResult, call_id=step.tool_call_id, name=name, content=step.content)
        if turn.error is not None:
            live.emit(events.TurnFailed, code=turn.error.code, message=turn.error.message, hint=turn.error.hint)
        else:
            live.emit(events.TurnCompleted, text=steps[-1].content if steps else "", usage=turn.usage)
        async for event in live.follow():
            yield event


def _open_calls(steps: list[Message]) -> list[ToolUse]:
    """Return the calls of a turn that have no result yet."""
    answered = {step.tool_call_id for step in steps}
    return [call for step in steps for call in step.tool_calls if call.id not in answered]

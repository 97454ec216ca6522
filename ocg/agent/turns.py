"""The turn engine: the next step follows from what is on disk, so that a turn cut off anywhere is taken up there.

After the user or a tool, ask the model; after a reply with unanswered calls, run them; after a plain reply, done.
Each step is on disk before the next begins.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import replace
from itertools import takewhile
from typing import Any, TypeVar

from ocg import log
from ocg.agent import slash
from ocg.agent.commands import Commands
from ocg.agent.context import Prompt
from ocg.agent.live import LiveTurn
from ocg.agent.memory import Memories
from ocg.agent.prompting import Prompter
from ocg.agent.providers.base import Provider, Reply, ToolSpec
from ocg.agent.queue import Limits, TurnQueue
from ocg.agent.results import Results
from ocg.agent.rows import Turn, TurnError
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.transcript import Step, next_step, open_calls
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import Memory, Message, ToolUse, TurnRequest

_log = logging.getLogger(__name__)
T = TypeVar("T")

# When the estimate of tokens was wrong and the model refuses, older exchanges may take so much of the room.
_OLDER_SHARES = (1.0, 0.5, 0.2, 0.0)
# After a crash of everything the model may be back later than we are, and nobody is there to ask again.
_RESUMED_PATIENCE_S = 30.0
_RESUMED_PAUSE_S = 0.5


class Turns:
    """Runs turns: one at a time in a session, in order; sessions side by side."""

    def __init__(
        self,
        *,
        store: Store,
        memories: Memories,
        provider: Provider,
        toolbox: Toolbox,
        prompter: Prompter,
        commands: Commands,
        results: Results,
        settings: AgentSettings,
        limits: Limits,
    ) -> None:
        self._store = store
        self._memories = memories
        self._provider = provider
        self._toolbox = toolbox
        self._prompter = prompter
        self._commands = commands
        self._results = results
        self._settings = settings
        self._limits = limits
        self._queue = TurnQueue(limits)

    def apply(self, settings: AgentSettings) -> None:
        """Recall as new settings say, from the next turn on."""
        self._settings = settings

    async def resume(self) -> None:
        """Take up the turns that a stop or a crash cut off, before anything newer."""
        for turn in await self._store.unfinished():
            _log.info("taking up turn %s where it stopped", turn.id)
            self._launch(turn)

    async def submit(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """Keep a message on disk, then give its turn's events, to the last. A repeat joins the turn there is.

        Raises BUSY, with nothing kept, when too much waits already.
        """
        turn = await self._store.known(request)
        if turn is None:
            with nullcontext() if _is_immediate(request) else self._queue.place(request.session_id):
                return self._join(await self._store.accept(request))
        return self._join(turn)

    def _join(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        live = self._queue.get(turn.id)
        if live is None and turn.is_open:
            live = self._launch(turn)
        return live.follow() if live is not None else self._replay(turn)

    def _launch(self, turn: Turn) -> LiveTurn:
        live = LiveTurn(turn)
        live.emit(events.TurnStarted, message_id=turn.message_id)
        self._queue.enter(live, asyncio.create_task(self._run(live), name=f"turn {turn.id}"))
        return live

    async def cancel(self, turn_id: str) -> None:
        """End a turn now; what it said is kept. Raises NOT_FOUND when it does not run."""
        live = self._queue.get(turn_id)
        if live is None:
            raise OcgError(Code.NOT_FOUND, f"turn {turn_id!r} does not run", "it may be over")
        await self._queue.cancel([live])

    async def delete_session(self, session_id: str) -> None:
        """Delete a session for good; what runs in it ends. Raises NOT_FOUND."""
        await self._queue.cancel(self._queue.of_session(session_id))
        await self._store.delete_session(session_id)

    async def close(self) -> None:
        """Leave what runs as it is on disk; the next start takes it up."""
        await self._queue.close()

    async def _run(self, live: LiveTurn) -> None:
        """Wait for the session's turn, run, and put every end it can have on disk."""
        with log.about(OCG_TURN=live.turn.id, OCG_SESSION=live.turn.session_id):
            await self._run_to_end(live)

    async def _run_to_end(self, live: LiveTurn) -> None:
        limit_s = self._limits.turn_s
        try:
            async with self._held(live.turn), asyncio.timeout(limit_s):
                await (self._command(live) if live.turn.is_command else self._advance(live))
        except asyncio.CancelledError:
            if not live.is_cancelled:
                raise
            await self._end(live, OcgError(Code.CANCELLED, "the turn was cancelled"))
        except TimeoutError:
            await self._end(live, OcgError(Code.TIMEOUT, f"the turn took longer than {limit_s:g} s", "ask for less"))
        except OcgError as error:
            await self._end(live, error)
        except Exception:  # noqa: BLE001 - whatever a turn meets, its client hears of it
            _log.exception("turn %s ended by a bug", live.turn.id)
            await self._end(live, OcgError(Code.INTERNAL, "a bug in OCG; the log has its traceback", "ocg logs"))

    def _held(self, turn: Turn) -> AbstractAsyncContextManager[None]:
        """Return what a turn holds while it runs: the session, or nothing for a command that does not wait."""
        return nullcontext() if turn.is_command and not _waits(turn.message) else self._queue.lock(turn.session_id)

    async def _command(self, live: LiveTurn) -> None:
        """Answer a command, without the model; one that was cut off is done again, which changes nothing."""
        steps = await _whole(self._store.begin(live.turn))
        _tell(live, steps)
        if next_step(steps) is Step.ASK:
            text = await self._commands.answer(live.turn, lambda: self._stop_before(live))
            await _whole(self._store.add(live.turn, "assistant", text))
            live.emit(events.TextDelta, text=text)
        await self._end(live)

    async def _stop_before(self, live: LiveTurn) -> int:
        """End what came before a /stop in its session, and say how many turns that were."""
        earlier = takewhile(lambda one: one is not live, self._queue.of_session(live.turn.session_id))
        stopped = [one for one in earlier if not one.turn.is_command or _waits(one.turn.message)]
        await self._queue.cancel(stopped)
        return len(stopped)

    async def _advance(self, live: LiveTurn) -> None:
        turn = live.turn
        steps = await _whole(self._store.begin(turn))
        _tell(live, steps)
        if turn.state == "running":  # it was cut off; what a tool was doing then is not known
            await self._give_up_unsafe(live, open_calls(steps))
        memories = await self._recall(turn.message)
        while True:
            steps = await self._store.steps(turn.id)
            match next_step(steps):
                case Step.DONE:
                    await self._end(live)
                    return
                case Step.CALL:
                    for call in open_calls(steps):
                        await self._call(live, call)
                case Step.ASK:
                    if sum(step.role == "assistant" for step in steps) >= self._limits.steps:
                        raise OcgError(
                            Code.TOO_LARGE,
                            f"the turn took more than {self._limits.steps} steps",
                            "ask for less at once",
                        )
                    await self._ask(live, memories)

    async def _give_up_unsafe(self, live: LiveTurn, calls: Sequence[ToolUse]) -> None:
        for call in calls:
            if not self._toolbox.is_repeatable(call):
                await self._call(live, call, is_interrupted=True)

    async def _ask(self, live: LiveTurn, memories: tuple[Memory, ...]) -> None:
        """Ask the model for the next step and keep it."""
        patience_s = _RESUMED_PATIENCE_S if live.turn.state == "running" else 0.0
        while True:
            try:
                reply = await self._reply(live, memories)
            except OcgError as error:
                if error.code is not Code.UNAVAILABLE or time.monotonic() - live.began_s > patience_s:
                    raise
                await asyncio.sleep(_RESUMED_PAUSE_S)
            else:
                break
        await _whole(self._keep(live, reply))

    async def _reply(self, live: LiveTurn, memories: tuple[Memory, ...]) -> Reply:
        model = await self._provider.model()
        tools = self._toolbox.specs() if model.takes_tools else ()
        history = await self._store.history(live.turn.session_id)
        laid = await self._prompter.lay(live.turn, history, model=model, memories=memories, tools=tools)
        for share in _OLDER_SHARES:
            prompt = laid.prompt(share)
            try:
                reply = await self._stream(live, prompt, tools)
            except OcgError as error:
                if error.code is not Code.CONTEXT_LENGTH or not prompt.older:
                    raise
                _log.info("turn %s: %s; older messages are left out", live.turn.id, error.message)
            else:
                self._prompter.learn(laid, prompt, tools, reply)
                return reply
        raise OcgError(Code.CONTEXT_LENGTH, "the message does not fit the model", "send less at once")

    async def _stream(self, live: LiveTurn, prompt: Prompt, tools: Sequence[ToolSpec]) -> Reply:
        live.text = ""
        pieces = self._provider.reply(prompt.messages, tools, max_tokens=prompt.max_tokens)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Reply):
                    return piece
                live.text += piece
                live.emit(events.TextDelta, text=piece)
        raise OcgError(Code.INTERNAL, f"{self._provider.name} gave no reply", "this is a bug in OCG")

    async def _keep(self, live: LiveTurn, reply: Reply) -> None:
        await self._store.add(live.turn, "assistant", reply.text, tool_calls=reply.tool_calls, usage=reply.usage)
        live.text = ""

    async def _call(self, live: LiveTurn, call: ToolUse, *, is_interrupted: bool = False) -> None:
        live.emit(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
        outcome = self._toolbox.interrupted(call) if is_interrupted else await self._toolbox.run(call)
        outcome = replace(outcome, content=await self._results.shorten(live.turn.session_id, outcome.content))
        await _whole(self._store.add(live.turn, "tool", outcome.content, tool_call_id=call.id))
        live.emit(
            events.ToolResult, call_id=call.id, name=call.name, content=outcome.content, is_error=outcome.is_error
        )

    async def _end(self, live: LiveTurn, error: OcgError | None = None) -> None:
        """Keep how a turn ended, and what was said until then; tell it."""
        turn, kept = live.turn, TurnError(error.code, error.message, error.hint) if error else None
        try:
            turn = await _whole(self._store.finish(turn, kept, said=live.text))
            kept, steps = turn.error, await self._store.steps(turn.id)
        except OcgError as worse:
            _log.info("the end of turn %s could not be kept: %s", turn.id, worse)
            kept, steps = kept or TurnError(worse.code, worse.message, worse.hint), []
        _tell_end(live, turn, kept, steps)
        how = f"failed: {kept.message} [{kept.code}]" if kept else f"completed, {turn.usage.total_tokens} tokens"
        _log.info("turn %s of %.2f s %s", turn.id, time.monotonic() - live.began_s, how)

    async def _recall(self, message: str) -> tuple[Memory, ...]:
        settings = self._settings
        if not settings.auto_recall or not settings.recall_limit:
            return ()
        return await self._memories.recall(message, settings.recall_limit, min_score=settings.recall_min_score)

    async def _replay(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        """Tell a turn that is over once more, from disk."""
        live = LiveTurn(turn)
        live.emit(events.TurnStarted, message_id=turn.message_id)
        steps = await self._store.steps(turn.id)
        _tell(live, steps)
        _tell_end(live, turn, turn.error, steps)
        async for event in live.follow():
            yield event


def _is_immediate(request: TurnRequest) -> bool:
    """Whether a request waits for nothing, so that no full queue can keep it out: /stop above all."""
    return slash.is_command(request) and not _waits(request.message)


def _waits(message: str) -> bool:
    command = slash.parse(message)
    return command is not None and command.waits


def _tell(live: LiveTurn, steps: Sequence[Message]) -> None:
    """Tell what happened so far; calls that are yet to be run are told when they are."""
    names = {call.id: call.name for step in steps for call in step.tool_calls}
    waiting = {call.id for call in open_calls(steps)}
    for step in steps:
        if step.role == "assistant" and step.content:
            live.emit(events.TextDelta, text=step.content)
        for call in step.tool_calls:
            if call.id not in waiting:
                live.emit(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
        if step.role == "tool" and step.tool_call_id:
            name, is_error = names.get(step.tool_call_id, ""), step.content.startswith("error: ")
            live.emit(events.ToolResult, call_id=step.tool_call_id, name=name, content=step.content, is_error=is_error)


def _tell_end(live: LiveTurn, turn: Turn, error: TurnError | None, steps: Sequence[Message]) -> None:
    if error is not None:
        live.emit(events.TurnFailed, code=error.code, message=error.message, hint=error.hint)
    else:
        live.emit(events.TurnCompleted, text=steps[-1].content if steps else "", usage=turn.usage)


async def _whole(job: Coroutine[Any, Any, T]) -> T:
    """Do a job to its end, even when we are cancelled meanwhile: half a write is not known to be one."""
    task = asyncio.ensure_future(job)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise

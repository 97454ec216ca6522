"""Runs one turn: the next step follows from what is on disk, so that a turn cut off anywhere is taken up there.

After the user or a tool, ask the model; after a reply with unanswered calls, run them; after a plain reply, done.
Each step is on disk before the next begins.
"""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from ocg import log
from ocg.agent import loops, offer, retelling
from ocg.agent.approvals.gate import Gate
from ocg.agent.commands import Commands
from ocg.agent.context import Laid, Prompt
from ocg.agent.deliveries import Deliveries
from ocg.agent.limits import TurnLimits
from ocg.agent.live import LiveTurn
from ocg.agent.memory import Memories
from ocg.agent.memory.capture import Capture
from ocg.agent.metrics import Metrics
from ocg.agent.prompting import Prompter
from ocg.agent.providers.base import Provider, Reply, ToolSpec
from ocg.agent.queue import TurnQueue
from ocg.agent.results import Results
from ocg.agent.rows import Entry, Turn
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Outcome, Place
from ocg.agent.transcript import Step, next_step, open_calls
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.messages import Memory, Message, ToolUse, TurnError
from ocg.protocol.thinking import Reasoning

_log = logging.getLogger(__name__)
T = TypeVar("T")

# When the estimate of tokens was wrong and the model refuses, older exchanges may take so much of the room.
_OLDER_SHARES = (1.0, 0.5, 0.2, 0.0)
_RESULTS_SHARE = 0.6
# After a crash of everything the model may be back later than we are, and nobody is there to ask again.
_RESUMED_PATIENCE_S = 30.0
_RESUMED_PAUSE_S = 0.5
_MAX_ATTEMPTS = 20


class Engine:
    """Everything that a turn needs."""

    def __init__(
        self,
        *,
        store: Store,
        deliveries: Deliveries,
        memories: Memories,
        provider: Provider,
        toolbox: Toolbox,
        gate: Gate,
        prompter: Prompter,
        commands: Commands,
        results: Results,
        metrics: Metrics,
        settings: AgentSettings,
        capture: Capture | None = None,
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._memories = memories
        self._provider = provider
        self._toolbox = toolbox
        self._gate = gate
        self._prompter = prompter
        self._commands = commands
        self._results = results
        self._metrics = metrics
        self._capture = capture
        self.apply(settings)

    def apply(self, settings: AgentSettings) -> None:
        """Do as new settings say, from the next turn on."""
        self._settings = settings
        self._limits = TurnLimits.of(settings)
        self._prompter.apply(settings)

    async def run(self, live: LiveTurn, queue: TurnQueue) -> None:
        """Wait for the session's turn, run, and put every end it can have on disk."""
        with log.about(OCG_TURN=live.turn.id, OCG_SESSION=live.turn.session_id), self._metrics.turn(live):
            await self._run_to_end(live, queue)

    async def _run_to_end(self, live: LiveTurn, queue: TurnQueue) -> None:
        limits, live.has_begun = self._limits.within(live.turn.spawned), True
        if live.cancelled_why:
            await self._end(live, OcgError(Code.CANCELLED, live.cancelled_why))
            return
        try:
            async with queue.held(live.turn), asyncio.timeout(limits.time_s or None) as live.limit:
                await self._begin(live)
                if live.turn.is_command:
                    await self._command(live, queue)
                elif live.turn.is_open:  # it has not joined another meanwhile
                    await self._advance(live, queue, limits)
                else:
                    await self._end(live)
        except asyncio.CancelledError:
            if not live.cancelled_why:
                raise
            await self._end(live, OcgError(Code.CANCELLED, live.cancelled_why))
        except TimeoutError:
            await self._end(live, limits.timeout())
        except OcgError as error:
            await self._end(live, error)
        except Exception:  # noqa: BLE001 - whatever a turn meets, its client hears of it
            _log.exception("turn %s ended by a bug", live.turn.id)
            await self._end(live, OcgError(Code.INTERNAL, "a bug in OCG; the log has its traceback", "ocg logs"))

    async def _begin(self, live: LiveTurn) -> None:
        live.turn = await _whole(self._store.begin(live.turn))
        if live.turn.attempts > _MAX_ATTEMPTS:
            why = f"the turn was cut off {_MAX_ATTEMPTS} times: something in it may be what ends the agent"
            raise OcgError(Code.INTERNAL, why, "ask in another way; ocg logs")
        if live.turn.attempts:
            await self._take_up(live)

    async def _command(self, live: LiveTurn, queue: TurnQueue) -> None:
        """Answer a command, without the model; one that was cut off is done again, which changes nothing."""
        if next_step(await self._store.steps(live.turn.id)) is Step.ASK:
            live.say(await self._commands.answer(live.turn, lambda: queue.stop_before(live)))
            await _whole(self._keep(live, Reply("")))
        await self._end(live)

    async def _advance(self, live: LiveTurn, queue: TurnQueue, limits: TurnLimits) -> None:
        memories = await self._recall(live.turn)
        while True:
            steps = await self._store.steps(live.turn.id)
            if next_step(steps) is not Step.CALL and await self._let_join(live, queue):
                continue
            match next_step(steps):
                case Step.DONE:
                    await self._end(live)
                    return
                case Step.CALL:
                    await self._call(live, open_calls(steps)[0], steps)
                case Step.ASK:
                    limits.check(steps, (await self._store.turn(live.turn.id)).usage)
                    await self._ask(live, memories)

    async def _take_up(self, live: LiveTurn) -> None:
        """Tell what is on disk of a turn that was cut off; what its tools were doing then is not known."""
        told = await self._store.told(live.turn.id)
        live.tell(retelling.retold(live.turn, told)[1:])
        for call in open_calls([one.message for one in told]):
            is_safe = offer.is_clients(call.name, live.turn.options) or self._toolbox.is_repeatable(call)
            if not (is_safe or await self._gate.is_undone(live, call)):
                await self._call(live, call, (), is_interrupted=True)

    async def _let_join(self, live: LiveTurn, queue: TurnQueue) -> bool:
        """Take in what the user said meanwhile to steer this turn; whether there was anything."""
        joined = [other for other in queue.joining(live) if await _whole(self._join(other, live))]
        for other in joined:
            queue.dismiss(other)
        return bool(joined)

    async def _join(self, other: LiveTurn, live: LiveTurn) -> bool:
        is_joined = await self._store.join(other.turn, live.turn, live.seq + 1)
        if is_joined:
            live.emit(events.MessageAdded, text=other.turn.message)
            other.emit(events.TurnJoined, into=live.turn.id)
        return is_joined

    async def _ask(self, live: LiveTurn, memories: tuple[Memory, ...]) -> None:
        """Ask the model for the next step and keep it."""
        patience_s = _RESUMED_PATIENCE_S if live.turn.attempts else 0.0
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
        own = await self._prompter.fitting(model, self._toolbox.of(live.turn).specs())
        tools = offer.offered(own, live.turn.options, takes_tools=model.takes_tools)
        history = await self._store.history(live.turn.session_id)
        lay = functools.partial(self._prompter.lay, live.turn, history, model=model, memories=memories, tools=tools)
        refused: OcgError | None = None
        async with aclosing(_ever_shorter(lay)) as prompts:
            async for laid, prompt in prompts:
                try:
                    reply = await self._stream(live, prompt, tools)
                except OcgError as error:
                    if error.code is not Code.CONTEXT_LENGTH:
                        raise
                    _log.info("turn %s: %s; a shorter prompt is tried", live.turn.id, error.message)
                    refused = error
                else:
                    self._prompter.learn(laid, prompt, tools, reply)
                    return reply
        raise refused or OcgError(Code.INTERNAL, "there is no prompt", "this is a bug in OCG")

    async def _stream(self, live: LiveTurn, prompt: Prompt, tools: Sequence[ToolSpec]) -> Reply:
        live.begin_step()
        pieces = self._provider.reply(prompt.messages, tools, max_tokens=prompt.max_tokens, options=live.turn.options)
        async with aclosing(pieces):
            async for piece in pieces:
                match piece:
                    case Reply():
                        live.think(piece.reasoning[len(live.reasoning) :])  # what did not come as a stream
                        live.say(piece.text[len(live.text) :])
                        return piece
                    case Reasoning():
                        live.think(piece.text)
                    case _:
                        live.say(piece)
        raise OcgError(Code.INTERNAL, f"{self._provider.name} gave no reply", "this is a bug in OCG")

    async def _keep(self, live: LiveTurn, reply: Reply) -> None:
        are_clients = offer.are_clients(reply.tool_calls, live.turn.options)
        entry = Entry(
            "assistant",
            live.text,
            live.seq,
            tool_calls=() if are_clients else reply.tool_calls,
            client_calls=reply.tool_calls if are_clients else (),
            reasoning=live.reasoning,
            spans=tuple(live.spans),
            opaque=reply.opaque,
            model=self._provider.model_name,
            usage=reply.usage,
            is_cut=reply.is_cut,
        )
        await self._store.add(live.turn, entry)
        live.end_step()

    async def _call(
        self, live: LiveTurn, call: ToolUse, steps: Sequence[Message], *, is_interrupted: bool = False
    ) -> None:
        live.emit(events.ToolCall, call_id=call.id, name=call.name, arguments=call.arguments)
        outcome = await self._outcome(live, call, is_interrupted=is_interrupted)
        outcome = replace(outcome, content=await self._results.shorten(live.turn.session_id, outcome.content))
        times = loops.count(steps, call, outcome.content)
        content = loops.noted(outcome.content, times)
        await _whole(self._keep_result(live, call, Outcome(content, outcome.is_error)))
        if times >= loops.STOPPED_AT:
            raise OcgError(
                Code.LIMIT,
                f"the model called {call.name} {times} times in the same way, with the same result",
                "ask in another way, or use another model",
            )

    async def _outcome(self, live: LiveTurn, call: ToolUse, *, is_interrupted: bool) -> Outcome:
        if offer.is_clients(call.name, live.turn.options):
            return Outcome(offer.DEFERRED.format(name=call.name))
        if is_interrupted:
            await self._gate.retell(live, call)
            return self._toolbox.interrupted(call)
        toolbox = self._toolbox.of(live.turn)
        refusal = await self._gate.refusal(live, call, toolbox.find(call.name))
        return refusal or await toolbox.run(call, Place(live.turn, call.id, live))

    async def _keep_result(self, live: LiveTurn, call: ToolUse, outcome: Outcome) -> None:
        entry = Entry("tool", outcome.content, live.seq + 1, tool_call_id=call.id)
        await self._store.add(live.turn, entry)
        live.emit(
            events.ToolResult, call_id=call.id, name=call.name, content=outcome.content, is_error=outcome.is_error
        )

    async def _end(self, live: LiveTurn, error: OcgError | None = None) -> None:
        """Keep how a turn ended, and what was said until then; tell it."""
        if live.is_over:
            return
        kept = TurnError(error.code, error.message, error.hint) if error else None
        last: Message | None = None
        try:
            said = Entry("assistant", live.text, live.seq, reasoning=live.reasoning, spans=tuple(live.spans))
            cut_off = said if live.text else None
            turn = await _whole(self._store.finish(live.turn, kept, cut_off=cut_off, event_seq=live.seq))
            if turn.error is None and turn.joined is None:
                last = (await self._store.steps(turn.id))[-1]
            live.happen(retelling.end(turn, live.seq, last))
            kept = turn.error
        except OcgError as worse:
            _log.info("the end of turn %s could not be kept: %s", live.turn.id, worse)
            kept = kept or TurnError(worse.code, worse.message, worse.hint)
            live.emit(events.TurnFailed, code=kept.code, message=kept.message, hint=kept.hint)
        self._deliveries.wake()
        if kept is None and self._capture is not None:
            await self._capture.after_turn(live.turn)
        how = f"failed: {kept.message} [{kept.code}]" if kept else "completed"
        _log.info("turn %s of %.2f s %s", live.turn.id, time.monotonic() - live.began_s, how)

    async def _recall(self, turn: Turn) -> tuple[Memory, ...]:
        settings = self._settings
        if turn.is_stranger or not turn.question or not settings.auto_recall or not settings.recall_limit:
            return ()
        return await self._memories.recall(turn.question, settings.recall_limit, min_score=settings.recall_min_score)


async def _ever_shorter(lay: Callable[..., Awaitable[Laid]]) -> AsyncGenerator[tuple[Laid, Prompt], None]:
    """Give a turn's prompt, then shorter ones: older messages are left out first, then results of tools are cut."""
    laid = await lay()
    longer = None
    for share in _OLDER_SHARES:
        prompt = laid.prompt(share)
        if longer is None or prompt.messages != longer.messages:
            yield laid, prompt
        longer = prompt
    laid = await lay(free_share=_RESULTS_SHARE)
    if longer is not None and (prompt := laid.prompt(0.0)).messages != longer.messages:
        yield laid, prompt


async def _whole(job: Coroutine[Any, Any, T]) -> T:
    """Do a job to its end, even when we are cancelled meanwhile: half a write is not known to be one."""
    task = asyncio.ensure_future(job)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise

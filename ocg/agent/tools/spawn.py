"""Having sub-agents do parts of the work, each in a conversation of its own.

A sub-agent is a turn like any other, whose id follows from the call: a call that was cut off finds the same again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated

import msgspec

from ocg.agent.rows import Turn
from ocg.agent.spawned import Spawned
from ocg.agent.tools import Toolbox
from ocg.agent.tools.base import Place
from ocg.agent.turns import Turns
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.approvals import Decision
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import ContextMessage, TurnRequest

_DEEPEST = 2
_MOST_AT_ONCE = 4
_TOLD = (
    "You are a sub-agent: another agent has given you one task and sees nothing but your last answer. Nobody can answer"
    " questions. Do the task with your tools, then answer with its result, whole and brief."
)

_Task = Annotated[str, msgspec.Meta(min_length=1, max_length=1 << 15)]


class SpawnArguments(msgspec.Struct, frozen=True):
    """What is to be done, with what, and how far."""

    tasks: Annotated[
        tuple[_Task, ...],
        msgspec.Meta(
            min_length=1,
            max_length=_MOST_AT_ONCE,
            description="a task for each sub-agent, with all it has to know: it sees nothing of this conversation",
        ),
    ]
    tools: Annotated[
        tuple[str, ...], msgspec.Meta(max_length=100, description="the tools they have; empty: all of yours but spawn")
    ] = ()
    steps: Annotated[int, msgspec.Meta(ge=1, le=100, description="how often each may think or call a tool")] = 30
    minutes: Annotated[int, msgspec.Meta(ge=1, le=120, description="how long each may take")] = 20


class SpawnTool:
    """See Tool. Its own limit of time is only the last of many: each sub-agent has one, and so has each question."""

    name = "spawn"
    description = "Have sub-agents do tasks, at the same time and in conversations of their own; returns their answers."
    default: Decision = "allow"
    arguments = SpawnArguments
    timeout_s = 86400.0
    is_repeatable = True
    is_outside = True  # as what they tell of may be

    def __init__(self, turns: Turns, toolbox: Toolbox) -> None:
        self._turns = turns
        self._toolbox = toolbox

    async def run(self, arguments: SpawnArguments, place: Place) -> str:
        """Have all of it done, and return the answers; what one of them fails with is its answer."""
        spawned = self._spawned(arguments, place.turn)
        questions = _Questions(place)
        with place.live.paused():
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._answer(_request(place, number, text), spawned, questions))
                    for number, text in enumerate(arguments.tasks, start=1)
                ]
        answers = [task.result() for task in tasks]
        if len(answers) == 1:
            return answers[0]
        return "\n\n".join(f"# Task {number}\n\n{answer}" for number, answer in enumerate(answers, start=1))

    def _spawned(self, arguments: SpawnArguments, turn: Turn) -> Spawned:
        """Return what the sub-agents have. Raises LIMIT, and NOT_FOUND for a tool that the turn itself has not.

        After a restart a tool may not be there yet, while the sub-agents are, which are to be found again.
        """
        depth = turn.spawned.depth + 1 if turn.spawned else 1
        if depth > _DEEPEST:
            raise OcgError(Code.LIMIT, f"sub-agents are at most {_DEEPEST} deep", "do the task yourself")
        own = [spec.name for spec in self._toolbox.of(turn).specs()]
        for name in arguments.tools:
            if name not in own and not turn.attempts:
                raise OcgError(Code.NOT_FOUND, f"no tool is called {name[:80]!r}", f"the tools are {', '.join(own)}")
        return Spawned(
            turn_id=turn.id,
            session_id=turn.conversation,
            channel=turn.channel,
            depth=depth,
            tools=arguments.tools or tuple(name for name in own if name != self.name),
            steps=arguments.steps,
            time_s=arguments.minutes * 60.0,
        )

    async def _answer(self, request: TurnRequest, spawned: Spawned, questions: "_Questions") -> str:
        try:
            following = await self._turns.submit(request, spawned)
            async with aclosing(following):
                return await self._follow(following, questions)
        except OcgError as error:
            return f"error: {error}"

    async def _follow(self, following: AsyncIterator[TurnEvent], questions: "_Questions") -> str:
        """Follow a sub-agent to its answer, and end it when that is wanted of whoever asked for it."""
        turn_id = ""
        try:
            async for event in following:
                turn_id = event.turn_id
                await questions.pass_on(event)
                match event:
                    case events.TurnCompleted(text=text):
                        return text or "(it said nothing)"
                    case events.TurnFailed(code=code, message=message):  # the hint is for people
                        raise OcgError(Code(code), message)
        except asyncio.CancelledError:
            if questions.live.cancelled_why and turn_id:  # else the agent stops, and takes both up again
                with suppress(OcgError):  # it is over
                    await self._turns.cancel(turn_id)
            raise
        finally:
            questions.give_up(turn_id)
        raise OcgError(Code.UNAVAILABLE, "the sub-agent goes on later", "")


class _Questions:
    """Tells whoever follows the turn what its sub-agents' calls wait for: one at a time, as a terminal asks them."""

    def __init__(self, place: Place) -> None:
        self.live = place.live
        self._call_id = place.call_id
        self._lock = asyncio.Lock()
        self._asking = ""

    async def pass_on(self, event: TurnEvent) -> None:
        """Tell of a question, once there is no other, and of its answer."""
        match event:
            case events.ApprovalAsked():
                await self._lock.acquire()
                self._asking = event.turn_id
                why = f"a sub-agent's call: {event.why}"
                self._tell(msgspec.structs.replace(event, call_id=self._call_id, why=why))
            case events.ApprovalAnswered():
                self._tell(msgspec.structs.replace(event, call_id=self._call_id))
                self.give_up(event.turn_id)

    def _tell(self, event: TurnEvent) -> None:
        """Make it an event of this turn; whoever watches all turns has heard of it already."""
        turn = self.live.turn
        self.live.tell(
            [msgspec.structs.replace(event, turn_id=turn.id, session_id=turn.session_id, seq=self.live.seq + 1)]
        )

    def give_up(self, turn_id: str) -> None:
        """Let others ask, if this one did."""
        if turn_id and self._asking == turn_id:
            self._asking = ""
            self._lock.release()


def _request(place: Place, number: int, task: str) -> TurnRequest:
    digest = hashlib.sha256(f"{place.turn.id}\n{place.call_id}\n{number}".encode()).hexdigest()
    name = f"spawn@{digest[:32]}"
    return TurnRequest(
        message=task,
        session_id=name,
        message_id=name,
        kind="api",
        context=(ContextMessage(role="system", content=_TOLD),),
        is_stranger=place.turn.is_stranger,
        asker=place.turn.asker,
    )

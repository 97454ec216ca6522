"""Who may run, and when: a bounded number of turns, one at a time in a session, in the order they came."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Self

from ocg.agent.live import LiveTurn
from ocg.agent.rows import Turn
from ocg.errors import Code, OcgError
from ocg.protocol.messages import AskedBy


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how long a turn goes on that nobody follows, where it is its client's alone.

    Of what may wait, so much may be one asker's who is not the owner, and so much all of theirs: the owner gets in.
    """

    queued_in_session: int = 8
    queued: int = 64
    queued_of_one: int = 16
    queued_of_others: int = 48
    deserted_s: float = 10.0  # the gateway waits five seconds for an agent that starts again


@dataclass(frozen=True, slots=True)
class Place:
    """What a turn takes up; it may have no session yet."""

    session_id: str | None
    asker: AskedBy
    is_immediate: bool = False

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """Return that of a turn."""
        return cls(turn.session_id, turn.asker, turn.is_immediate)


class TurnQueue:
    """The turns that run or wait, by id, with their tasks."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entering: list[Place] = []
        self._live: dict[str, LiveTurn] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def get(self, turn_id: str) -> LiveTurn | None:
        """Return a turn that runs or waits."""
        return self._live.get(turn_id)

    @property
    def depths(self) -> tuple[int, int]:
        """How many turns run, and how many wait for another of their session to end."""
        running = sum(lock.locked() for lock in self._locks.values())
        running += sum(live.turn.is_immediate for live in self._live.values())
        return running, len(self._live) - running

    def of_session(self, session_id: str) -> list[LiveTurn]:
        """Return a session's turns that run or wait."""
        return [live for live in self._live.values() if live.turn.session_id == session_id]

    def joining(self, live: LiveTurn) -> list[LiveTurn]:
        """Return what waits in a turn's session to join it, oldest first; nobody joins with another's rights."""
        here = [one for one in self.of_session(live.turn.session_id) if one.turn.origin == live.turn.origin]
        return [one for one in here if one is not live and one.turn.steers and not one.cancelled_why]

    async def stop_before(self, live: LiveTurn) -> int:
        """End what came before a /stop in its session, and say how many turns that were."""
        earlier = takewhile(lambda one: one is not live, self.of_session(live.turn.session_id))
        stopped = [one for one in earlier if not one.turn.is_immediate]
        await self.cancel(stopped, "the turn was stopped")
        return len(stopped)

    @contextmanager
    def place(self, wanted: Place) -> Iterator[None]:
        """Hold a place for a turn that is being accepted. Raises BUSY when there is none.

        What is answered at once and what waits for its turn have as many places, and take none from each other.
        """
        self._check(wanted)
        self._entering.append(wanted)
        try:
            yield
        finally:
            self._entering.remove(wanted)

    def _check(self, wanted: Place) -> None:
        known = [Place.of(live.turn) for live in self._live.values()] + self._entering
        waiting = [one for one in known if one.is_immediate == wanted.is_immediate]
        here = sum(one.session_id == wanted.session_id for one in waiting) if wanted.session_id else 0
        if here >= self._limits.queued_in_session:
            raise OcgError(
                Code.BUSY, f"{here} messages of this conversation wait already", "wait for an answer, then ask again"
            )
        if len(waiting) >= self._limits.queued:
            raise OcgError(Code.BUSY, f"{len(waiting)} messages wait already", "wait a little, then ask again")
        others = [one.asker.name for one in waiting if not one.asker.is_owner]
        own = others.count(wanted.asker.name)
        is_full = own >= self._limits.queued_of_one or len(others) >= self._limits.queued_of_others
        if is_full and not wanted.asker.is_owner:
            raise OcgError(
                Code.BUSY,
                f"{len(others)} messages of tokens wait already, {own} of them of {wanted.asker.name!r}",
                "wait for an answer, then ask again",
            )

    def enter(self, live: LiveTurn, task: "asyncio.Task[None]") -> None:
        """Take a turn in, with the task that runs it; it leaves when the task is done."""
        self._live[live.turn.id], self._tasks[live.turn.id] = live, task
        task.add_done_callback(lambda _: self._leave(live))

    def _leave(self, live: LiveTurn) -> None:
        live.close()
        self._live.pop(live.turn.id, None)
        self._tasks.pop(live.turn.id, None)
        if not self.of_session(live.turn.session_id):
            self._locks.pop(live.turn.session_id, None)

    def held(self, turn: Turn) -> AbstractAsyncContextManager[None]:
        """Return what a turn holds while it runs: its session, in the order it was asked for, or nothing."""
        return nullcontext() if turn.is_immediate else self._locks.setdefault(turn.session_id, asyncio.Lock())

    async def cancel(self, lives: list[LiveTurn], why: str) -> None:
        """End turns now, once each, and wait until that is on disk."""
        tasks = {self._tasks[live.turn.id] for live in lives if live.turn.id in self._tasks}
        for live in lives:
            if not live.cancelled_why and live.turn.id in self._tasks:
                live.cancelled_why = why
                if live.has_begun:  # a task that has not would never see it, and its turn never end
                    self._tasks[live.turn.id].cancel()
        if tasks:
            await asyncio.wait(tasks)

    def dismiss(self, live: LiveTurn) -> None:
        """Let a turn go that is over before it ran."""
        if task := self._tasks.get(live.turn.id):
            task.cancel()

    async def close(self) -> None:
        """Leave what runs as it is on disk."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

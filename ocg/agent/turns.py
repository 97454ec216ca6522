"""Turns as clients see them: asked for, joined, followed, cancelled; one at a time in each session."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

from ocg.agent import asked, retelling, slash
from ocg.agent.engine import Engine
from ocg.agent.live import LiveTurn, Watch
from ocg.agent.queue import Limits, Place, TurnQueue
from ocg.agent.rows import Turn
from ocg.agent.spawned import Spawned
from ocg.agent.store import Store
from ocg.config import AgentSettings
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import TurnError, TurnRequest

_log = logging.getLogger(__name__)

INTERRUPTED = "another message came and ended the turn"
_ORPHANED = "the turn that asked for it is over"

OnDeleted = Callable[[str], Awaitable[None]]


class Turns:
    """All there are. `on_deleted` ends what else a session has, and `watch` is told what happens in them."""

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        limits: Limits,
        on_deleted: OnDeleted | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._queue = TurnQueue(limits)
        self._on_deleted = on_deleted
        self._watch = watch
        self._deserted_s = limits.deserted_s

    def apply(self, settings: AgentSettings) -> None:
        """Do as new settings say, from the next turn on."""
        self._engine.apply(settings)

    async def resume(self) -> None:
        """Take up the turns that a stop or a crash cut off, before anything newer."""
        unfinished = await self._store.unfinished()
        going = set()
        for turn in unfinished:
            if any(turn.is_ended_by(other) for other in unfinished):
                await self._store.finish(turn, TurnError(Code.CANCELLED, INTERRUPTED))
            elif turn.spawned and turn.spawned.turn_id not in going:
                await self._store.finish(turn, TurnError(Code.CANCELLED, _ORPHANED))
            else:
                going.add(turn.id)
                _log.info("taking up turn %s where it stopped", turn.id)
                self._launch(turn)

    async def submit(self, request: TurnRequest, spawned: Spawned | None = None) -> AsyncGenerator[TurnEvent, None]:
        """Keep a message on disk, then give its turn's events, to the last. A repeat joins the turn there is.

        With `spawned` the turn is a sub-agent's. Raises INVALID_REQUEST, and BUSY when too much waits already; nothing
        is kept then.
        """
        asked.check(request)
        turn = await self._store.known(request)
        if turn is None:
            with self._place(request):
                turn = await self._store.accept(request, spawned)
                earlier = [one for one in self._queue.of_session(turn.session_id) if one.turn.seq < turn.seq]
                following = self._join(turn, request.after)
            if request.mode == "interrupt":
                await self._queue.cancel(earlier, INTERRUPTED)
            return following
        return self._join(turn, request.after)

    def _place(self, request: TurnRequest) -> AbstractContextManager[None]:
        """Return what a request holds until it is accepted; nothing for /stop, which no full queue may keep out."""
        if slash.is_stop(request):
            return nullcontext()
        return self._queue.place(Place(request.session_id, request.asker, slash.is_immediate(request)))

    async def follow(self, turn_id: str, after: int) -> AsyncGenerator[TurnEvent, None]:
        """Give a turn's events behind number `after`, to the last, whether it runs or is over. Raises NOT_FOUND."""
        live = self._queue.get(turn_id)
        return live.follow(after) if live is not None else self._join(await self._store.turn(turn_id), after)

    def _join(self, turn: Turn, after: int) -> AsyncGenerator[TurnEvent, None]:
        live = self._queue.get(turn.id)
        if live is None and turn.is_open:
            live = self._launch(turn)
        return live.follow(after) if live is not None else self._replay(turn, after)

    def _launch(self, turn: Turn) -> LiveTurn:
        live = LiveTurn(turn, self._watch)
        live.emit(events.TurnStarted, message_id=turn.message_id)
        self._queue.enter(live, asyncio.create_task(self._run(live), name=f"turn {turn.id}"))
        return live

    async def _run(self, live: LiveTurn) -> None:
        """Run a turn; one that is its client's alone, for as long as anybody follows it."""
        if not live.turn.is_clients:
            await self._engine.run(live, self._queue)
            return
        watch = asyncio.create_task(self._end_deserted(live))
        try:
            await self._engine.run(live, self._queue)
        finally:
            watch.cancel()
            await asyncio.wait({watch})

    async def _end_deserted(self, live: LiveTurn) -> None:
        await live.deserted(self._deserted_s)
        await self._queue.cancel([live], "whoever asked has gone")

    async def cancel(self, turn_id: str) -> None:
        """End a turn now; what it said is kept. Raises NOT_FOUND when it does not run."""
        live = self._queue.get(turn_id)
        if live is None:
            raise OcgError(Code.NOT_FOUND, f"turn {turn_id!r} does not run", "it may be over")
        await self._queue.cancel([live], "the turn was cancelled")

    async def delete_session(self, session_id: str) -> None:
        """Delete a session for good; what runs in it ends. Raises NOT_FOUND."""
        await self._queue.cancel(self._queue.of_session(session_id), "the conversation was deleted")
        await self._store.delete_session(session_id)
        if self._on_deleted is not None:
            await self._on_deleted(session_id)

    @property
    def depths(self) -> tuple[int, int]:
        """How many run, and how many wait."""
        return self._queue.depths

    async def close(self) -> None:
        """Leave what runs as it is on disk; the next start takes it up."""
        await self._queue.close()

    async def _replay(self, turn: Turn, after: int) -> AsyncGenerator[TurnEvent, None]:
        """Tell a turn that is over once more, from disk."""
        told = await self._store.told(turn.id)
        live = LiveTurn(turn)
        live.tell(retelling.retold(turn, told))
        live.tell([retelling.end(turn, live.seq, told[-1].message if told else None)])
        async for event in live.follow(after):
            yield event

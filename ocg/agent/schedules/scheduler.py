"""Begins what is due, some runs at a time, and sees each to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ocg import log
from ocg.agent.schedules.schedules import Begun, Schedules
from ocg.agent.turns import Turns
from ocg.errors import Code, OcgError
from ocg.protocol import events
from ocg.protocol.events import TurnEvent
from ocg.protocol.messages import TurnError, TurnRequest

_log = logging.getLogger(__name__)

# After a long downtime much may be due at once, and people want answers meanwhile.
_AT_ONCE = 4
_BUSY_PAUSES_S = (1.0, 5.0, 15.0, 60.0, 300.0)
_RETRY_S = 30.0


class Scheduler:
    """Runs schedules. A run that is cut off is taken up at the next start, and its turn with it."""

    def __init__(self, schedules: Schedules, turns: Turns) -> None:
        self._schedules = schedules
        self._turns = turns
        self._running: dict[str, asyncio.Task[None]] = {}
        self._looked_at: float | None = None

    async def run_for_ever(self) -> None:
        """Begin what is due, when it is, until cancelled; what runs then is left as it is on disk."""
        news = self._schedules.news
        try:
            while True:
                news.clear()
                try:
                    await self._look()
                    next_at = await self._schedules.next_at()
                except Exception as error:  # noqa: BLE001 - the task must outlive whatever comes
                    _log.log(_level(error), "schedules wait: %s", error, exc_info=_bug(error))
                    next_at = None
                await self._schedules.clock.wait_until(next_at, news)
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        """Write down what is due, then begin what is written down, as far as there is room."""
        now = self._schedules.clock.now()
        if self._looked_at is None or now < self._looked_at:
            await self._schedules.realign()
        self._looked_at = now
        await self._schedules.claim()
        for begun in await self._schedules.begun(self._running.keys(), _AT_ONCE - len(self._running)):
            self._running[begun.id] = asyncio.create_task(self._run(begun), name=begun.id)

    async def _run(self, begun: Begun) -> None:
        """See a run to its end and keep how it ended; where that cannot be kept, it is tried again a little later."""
        with log.about(OCG_SESSION=begun.request.session_id or ""):
            try:
                error = await self._ask(begun)
                _log.info("run %s %s", begun.id, f"failed: {error.message} [{error.code}]" if error else "completed")
                await self._schedules.finish(begun.id, error)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is not tried again in a hurry
                why = "run %s is taken up again in %g s: %s"
                _log.log(_level(error), why, begun.id, _RETRY_S, error, exc_info=_bug(error))
                await asyncio.sleep(_RETRY_S)
            finally:
                del self._running[begun.id]
                self._schedules.news.set()

    async def _ask(self, begun: Begun) -> TurnError | None:
        """Ask for the turn of a run, or join it, and return what it failed with."""
        try:
            following = await self._submit(begun.request)
        except OcgError as error:
            return TurnError(error.code, error.message, error.hint)
        async with aclosing(following):
            async for event in following:
                match event:
                    case events.TurnStarted(turn_id=turn_id):
                        await self._schedules.note_turn(begun.id, turn_id)
                    case events.TurnFailed(code=code, message=message, hint=hint):
                        return TurnError(code, message, hint)
                    case events.TurnCompleted() | events.TurnJoined():
                        return None
        raise OcgError(Code.UNAVAILABLE, "its turn goes on later", "it is joined again then")

    async def _submit(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """Submit a turn, again and again for some minutes while too much waits already."""
        for pause_s in _BUSY_PAUSES_S:
            try:
                return await self._turns.submit(request)
            except OcgError as error:
                if error.code is not Code.BUSY:
                    raise
            await asyncio.sleep(pause_s)
        return await self._turns.submit(request)


def _level(error: Exception) -> int:
    return logging.WARNING if isinstance(error, OcgError) else logging.ERROR


def _bug(error: Exception) -> Exception | None:
    """Return what is to be logged with its traceback."""
    return None if isinstance(error, OcgError) else error

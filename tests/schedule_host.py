"""A process that runs schedules without end, for tests that kill it; its clock goes 6,000 times as fast as ours.

From one life to the next half an hour passes, in which nothing runs.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path

from ocg.agent.deliveries import Deliveries
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.schedules import ScheduleRequest
from tests.agent_parts import PlayedModel
from tests.forking import fork_for_each_line, say
from tests.schedule_parts import NOON, opened, running, turns_of

SCHEDULES = {"often": "every 1m", "cron": "*/10 * * * *"}
_FAST = 6000
_DOWNTIME_S = 1800.0
_TURNS = "SELECT message_id, state FROM turns ORDER BY seq"


class _FastClock:
    """Goes on from a moment."""

    def __init__(self, since: float) -> None:
        self._since, self._began_s = since, time.monotonic()

    def now(self) -> float:
        return self._since + (time.monotonic() - self._began_s) * _FAST

    async def wait_until(self, moment: float | None, news: asyncio.Event) -> None:
        left_s = 1.0 if moment is None else max(moment - self.now(), 0.0) / _FAST
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await news.wait()


class _Model(PlayedModel):
    """Takes a while."""

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[str | Reply, None]:
        await asyncio.sleep(random.random() * 0.02)
        async for piece in super().reply(messages, tools, max_tokens=max_tokens, options=options):
            yield piece


async def _live(folder: Path, number: int) -> None:
    """Run what is due, and say it as soon as it is on disk; the clock goes on where the life before was cut off."""
    kept = folder / "clock"
    clock = _FastClock(float(kept.read_text()) + _DOWNTIME_S if kept.exists() else NOON)
    async with opened(folder, clock) as (database, schedules):
        for name, when in SCHEDULES.items():
            await schedules.add(ScheduleRequest(name=name, when=when, message=name, zone="UTC"))
        turns = turns_of(database, folder, _Model(Model("m", 1_000_000)), Deliveries(database))
        async with running(schedules, turns):
            while True:
                (folder / "clock.new").write_text(str(clock.now()))
                (folder / "clock.new").replace(kept)
                found = {name: (await schedules.runs(name)).runs for name in SCHEDULES}
                asked = await database.read(lambda db: [tuple(row) for row in db.execute(_TURNS)])
                runs = {
                    name: [(one.id, one.due_at, one.missed, one.state) for one in reversed(runs)]
                    for name, runs in found.items()
                }
                say(number=number, runs=runs, turns=asked)
                await asyncio.sleep(0.005)


if __name__ == "__main__":
    fork_for_each_line(_live)

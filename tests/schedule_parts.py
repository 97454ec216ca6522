"""Schedules over a real database, with a clock and a model that a test plays."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ocg.agent.deliveries import Deliveries
from ocg.agent.factory import create_turns
from ocg.agent.memory import Memories
from ocg.agent.outbox import Outbox
from ocg.agent.providers.base import PLAIN, Model, PromptMessage, Reply, ToolSpec
from ocg.agent.queue import Limits
from ocg.agent.schedules import Clock, Schedules
from ocg.agent.schedules.scheduler import Scheduler
from ocg.agent.schema import MIGRATIONS
from ocg.agent.store import Store
from ocg.agent.tools import Toolbox
from ocg.agent.turns import Turns
from ocg.agent.workspace import Workspace
from ocg.config import AgentSettings
from ocg.database import Database
from ocg.errors import Code, OcgError
from ocg.protocol.clients import EmbeddingClient
from ocg.protocol.replies import ReplyOptions
from ocg.protocol.schedules import ScheduleRun
from tests.agent_parts import PlayedModel

NOON = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class PlayedClock:
    """Stands still until it is set."""

    def __init__(self, now: float = NOON) -> None:
        self.time = now
        self.awaited: float | None = None
        self.rests = asyncio.Event()
        self._news: asyncio.Event | None = None

    def now(self) -> float:
        return self.time

    def set(self, now: float) -> None:
        """Be at another time, as a machine's clock is where a minute is over, it slept, or somebody set it."""
        self.time = now
        if self._news is not None:
            self._news.set()

    async def wait_until(self, moment: float | None, news: asyncio.Event) -> None:
        self.awaited, self._news = moment, news
        if not news.is_set():  # else it looks again at once
            self.rests.set()
            self.rests = asyncio.Event()
        await news.wait()


class PlayedReplies(PlayedModel):
    """Answers but to what hangs, as long as that is held, and to what fails."""

    def __init__(self) -> None:
        super().__init__(Model("played", 100_000))
        self.go_on = asyncio.Event()
        self.at_once = self.most_at_once = 0

    @property
    def said(self) -> list[str]:
        """What users said last, each time the model was asked."""
        return [next(one.content for one in reversed(asked) if one.role == "user") for asked in self.asked]

    async def reply(
        self,
        messages: Sequence[PromptMessage],
        tools: Sequence[ToolSpec],
        *,
        max_tokens: int,
        options: ReplyOptions = PLAIN,
    ) -> AsyncGenerator[str | Reply, None]:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            async for piece in super().reply(messages, tools, max_tokens=max_tokens, options=options):
                if "hang" in self.said[-1]:
                    await self.go_on.wait()
                if "fail" in self.said[-1]:
                    raise OcgError(Code.PROVIDER, "the model broke", "mend it")
                yield piece
        finally:
            self.at_once -= 1


@dataclass
class Scheduled:
    """The parts, and the task that runs schedules."""

    schedules: Schedules
    clock: PlayedClock
    model: PlayedReplies
    turns: Turns
    deliveries: Deliveries
    database: Database

    async def until(self, is_so: Callable[[list[ScheduleRun]], bool], name: str = "s") -> list[ScheduleRun]:
        """Wait until something is so of a schedule's runs, newest first, and return them."""
        async with asyncio.timeout(10):
            while not is_so(runs := list((await self.schedules.runs(name)).runs)):
                await self.looked()
            return runs

    async def ended(self, number: int, name: str = "s") -> list[ScheduleRun]:
        """Wait until so many runs have ended, none is on its way, and the scheduler rests."""
        runs = await self.until(lambda runs: len(runs) == number and all(one.ended_at for one in runs), name)
        await self.looked()
        return runs

    async def looked(self) -> None:
        """Wait until the scheduler has looked at what there is, and rests."""
        async with asyncio.timeout(10):
            rests = self.clock.rests
            self.schedules.news.set()
            await rests.wait()


def turns_of(database: Database, folder: Path, model: PlayedModel, deliveries: Deliveries) -> Turns:
    """Build what runs turns; its tools are none."""
    embedding = EmbeddingClient(folder)
    return create_turns(
        database,
        memories=Memories(database, embedding, Outbox(database, embedding)),
        provider=model,
        workspace=Workspace(folder / "workspace"),
        settings=AgentSettings(auto_recall=False),
        deliveries=deliveries,
        toolbox=Toolbox([]),
        limits=Limits(),
    )


@asynccontextmanager
async def running(schedules: Schedules, turns: Turns) -> AsyncIterator[None]:
    """Run what is due meanwhile, as the service does: it ends before the turns do."""
    await turns.resume()
    task = asyncio.create_task(Scheduler(schedules, turns).run_for_ever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await turns.close()


@asynccontextmanager
async def scheduled(folder: Path, clock: PlayedClock | None = None) -> AsyncIterator[Scheduled]:
    """Build all and run it, for the first time or again."""
    clock, model = clock or PlayedClock(), PlayedReplies()
    async with opened(folder, clock) as (database, schedules):
        deliveries = Deliveries(database)
        turns = turns_of(database, folder, model, deliveries)
        async with running(schedules, turns):
            yield Scheduled(schedules, clock, model, turns, deliveries, database)


@asynccontextmanager
async def opened(folder: Path, clock: Clock) -> AsyncIterator[tuple[Database, Schedules]]:
    """Open what is on disk, and run nothing."""
    database = await Database.open(folder / "agent.db", MIGRATIONS)
    try:
        yield database, Schedules(database, clock)
    finally:
        await database.close()


async def transcript(database: Database, session_id: str) -> list[tuple[str, str]]:
    """Return a session's messages as role and content."""
    found = await Store(database).transcript(session_id)
    return [(one.role, one.content) for one in found.messages]

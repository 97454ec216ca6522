"""Has bases built when they are due, one after the other, for as long as the store is open."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from ocg.embedding.vectors.builder import Builder, StoppedError
from ocg.embedding.vectors.model import Collection, Limits
from ocg.embedding.vectors.searcher import Searcher

_log = logging.getLogger(__name__)


class Upkeep:
    """The task that builds. `collections` tells the collections by number as they are at the moment."""

    def __init__(
        self, searcher: Searcher, builder: Builder, collections: Callable[[], Mapping[int, Collection]], limits: Limits
    ) -> None:
        self._searcher = searcher
        self._builder = builder
        self._collections = collections
        self._limits = limits
        self._quiet: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._closed = False
        self._resting: set[int] = set()
        self.building: int | None = None

    def look(self) -> None:
        """Begin to build what is due, if nothing is being built."""
        if self._searcher.due and not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    def wrote(self) -> None:
        """Begin to build what is due; what is due only in quiet times waits for them."""
        self.look()
        if self._quiet is not None:
            self._quiet.cancel()
        if self._searcher.due_when_quiet and not self._closed:
            self._quiet = asyncio.get_running_loop().call_later(self._limits.quiet_s, self._rest)

    def _rest(self) -> None:
        self._searcher.due |= self._searcher.due_when_quiet
        self._resting |= self._searcher.due_when_quiet
        self._searcher.due_when_quiet.clear()
        self.look()

    async def settle(self) -> None:
        """Wait until nothing is due; for tests and benchmarks."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self, timeout_s: float) -> None:
        """Stop."""
        self._closed = True
        for timer in (*self._timers.values(), self._quiet):
            if timer is not None:
                timer.cancel()
        await self._builder.close(timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._searcher.due and not self._closed:
            number = min(self._searcher.due)
            self._searcher.due.discard(number)
            collection = self._collections().get(number)
            if collection is None:
                continue
            self.building = number
            try:
                await self._build(collection)
            except StoppedError:
                return
            except Exception:  # noqa: BLE001 - searches go on without it, and SQLite has all
                _log.exception("the index of %r could not be built", collection.name)
                self._again(number)
            finally:
                self.building = None

    async def _build(self, collection: Collection) -> None:
        quiet = collection.number in self._resting
        self._resting.discard(collection.number)
        plan = await self._searcher.worker.run(lambda: self._searcher.plan(collection, quiet=quiet))
        if plan is None:
            return
        built = await self._builder.build(plan)
        await self._searcher.worker.run(lambda: self._searcher.rebase(plan, built))
        if not built.saved:
            self._again(collection.number)
        self.wrote()  # what came meanwhile may be due in quiet times

    def _again(self, number: int) -> None:
        """Try again later, as when there was no room on the disk."""

        def due() -> None:
            self._searcher.due.add(number)
            self.look()

        # What cannot be built now cannot in a second either, and is due again with each write.
        self._searcher.due.discard(number)
        if number in self._timers:
            self._timers[number].cancel()
        self._timers[number] = asyncio.get_running_loop().call_later(self._limits.retry_s, due)

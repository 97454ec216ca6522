"""Reading folders again and again, with patience that has an end: a folder on a network may hang.

One that hangs takes a thread of its own; asyncio's threads are few, and a stuck one is lost.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from ocg.errors import Code, OcgError
from ocg.lifecycle.worker import Worker

_log = logging.getLogger(__name__)
T = TypeVar("T")

_READ_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 0.5


class Reader(Generic[T]):
    """What was read last, and what reads it again, which is given that; until that answers, what is known has to do."""

    def __init__(self, where: str, known: T) -> None:
        self._where = where
        self._known = known
        self._reading: asyncio.Task[T] | None = None
        self._is_hung = False

    async def read(self, job: Callable[[T], T]) -> T:
        """Read again; who asks meanwhile waits for the same. What the job raises is raised."""
        if self._is_hung:
            return self._known
        reading = self._reading or self._begin(job)
        await asyncio.wait({reading}, timeout=_READ_TIMEOUT_S)
        if reading.done():
            return reading.result()
        if not self._is_hung:
            _log.warning("%s could not be read in %g s", self._where, _READ_TIMEOUT_S)
            self._is_hung = True
        return self._known

    def _begin(self, job: Callable[[T], T]) -> asyncio.Task[T]:
        known = self._known
        self._reading = asyncio.create_task(_in_own_thread(self._where, lambda: job(known)))
        self._reading.add_done_callback(self._end)
        return self._reading

    def _end(self, reading: asyncio.Task[T]) -> None:
        """Take over what was read, be it late."""
        self._reading, self._is_hung = None, False
        if not reading.cancelled() and reading.exception() is None:
            self._known = reading.result()


async def read_once(where: str, job: Callable[[], T]) -> T:
    """Read something that is not kept. Raises what the job raises, and TIMEOUT."""
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            return await _in_own_thread(where, job)
    except TimeoutError:
        raise OcgError(Code.TIMEOUT, f"{where} could not be read in {_READ_TIMEOUT_S:g} s", "try again") from None


async def _in_own_thread(where: str, job: Callable[[], T]) -> T:
    worker = Worker(where, max_queue=1)
    try:
        return await worker.run(job)
    finally:
        await worker.close(_CLOSE_TIMEOUT_S)

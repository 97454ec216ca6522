"""The clock that schedules go by."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

# While the machine sleeps no timer runs, and its clock may be set at any time: it is looked at again this often.
_LOOK_S = 30.0


class Clock(Protocol):
    """Tells the time, and waits."""

    def now(self) -> float:
        """Return the time, in Unix seconds."""

    async def wait_until(self, moment: float | None, news: asyncio.Event) -> None:
        """Return at that moment, or when there is news, or at any time before."""


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        """See Clock."""
        return time.time()

    async def wait_until(self, moment: float | None, news: asyncio.Event) -> None:
        """See Clock."""
        left_s = _LOOK_S if moment is None else min(max(moment - self.now(), 0.0), _LOOK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await news.wait()

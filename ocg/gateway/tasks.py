"""Small duties that outlive the request they come from, such as cancelling a turn whose client has gone."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from ocg.errors import OcgError

_MAX_TASKS = 1024
_LAST_S = 1.0

_log = logging.getLogger(__name__)


class Tasks:
    """Owns the tasks; leaving it gives them a second to end, and cancels what has not."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=_LAST_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def start(self, duty: Coroutine[Any, Any, None]) -> None:
        """Do it some time; an error is logged. Past the limit it is left undone."""
        if len(self._running) >= _MAX_TASKS:
            duty.close()
            _log.warning("too much left to do: a duty was dropped")
            return
        task = asyncio.create_task(_quietly(duty))
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _quietly(duty: Coroutine[Any, Any, None]) -> None:
    try:
        await duty
    except OcgError as error:
        _log.info("left undone: %s", error)

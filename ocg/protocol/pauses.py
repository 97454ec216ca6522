"""Pauses between attempts to reach a service that is being restarted."""

import asyncio
import logging

_FIRST_S = 0.02
_LONGEST_S = 0.25

_log = logging.getLogger(__name__)


class Pauses:
    """Ever longer pauses, so many seconds in all from the first of them on."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._end_s: float | None = None
        self._pause_s = _FIRST_S

    async def next(self) -> bool:
        """Wait for the next attempt; whether there is one."""
        now_s = asyncio.get_running_loop().time()
        if self._end_s is None:
            self._end_s = now_s + self._patience_s
        if now_s >= self._end_s:
            return False
        _log.debug("the agent is away; asking again in %g s", self._pause_s)
        await asyncio.sleep(min(self._pause_s, self._end_s - now_s))
        self._pause_s = min(self._pause_s * 2, _LONGEST_S)
        return True

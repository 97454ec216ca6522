"""A brake on guessing: wrong tokens are answered late, so many at once and no more, and logged in bounds."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from ocg.errors import Code, OcgError
from ocg.lifecycle.neighbourhood import neighbourhood

_DELAY_S = 0.5
# With the delay: 32 guesses a second from one address and 128 from all, whatever the number of connections.
_MAX_OF_ONE = 16
_MAX_AT_ONCE = 64
# An address is logged at its first wrong token, and then once in so long, with how many there were.
_QUIET_S = 60.0
_MAX_LOGGED = 256

_log = logging.getLogger(__name__)


class Brake:
    """Counts wrong tokens by the address that they come from."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._waiting: Counter[str] = Counter()
        self._said: dict[str, tuple[float, int]] = {}

    def is_held(self, address: str) -> bool:
        """Whether no more guesses are heard from an address just now."""
        return self._waiting[neighbourhood(address)] >= _MAX_OF_ONE or self._waiting.total() >= _MAX_AT_ONCE

    def check(self, address: str) -> None:
        """Raise BUSY while an address is held."""
        if self.is_held(address):
            raise OcgError(Code.BUSY, "too many wrong tokens just now", "try again shortly")

    async def hold(self, address: str) -> None:
        """Wait before a wrong token is answered. Raises BUSY at once when too many wait already."""
        place = neighbourhood(address)
        self._say(place)
        self.check(address)
        self._waiting[place] += 1
        try:
            await asyncio.sleep(_DELAY_S)  # the delay is the point
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]

    def _say(self, place: str) -> None:
        """Log a wrong token, so that neither one address nor many fill the log."""
        now = self._now()
        if len(self._said) >= _MAX_LOGGED:
            self._said = {one: said for one, said in self._said.items() if now - said[0] < _QUIET_S}
        at, more = self._said.get(place, (-_QUIET_S, 0))
        if now - at < _QUIET_S:
            self._said[place] = at, more + 1
        elif len(self._said) < _MAX_LOGGED or place in self._said:
            self._said[place] = now, 0
            whose = place or "a Unix socket"
            others = f", and {more} since the line before" if more else ""
            _log.warning("a wrong token or login code from %s was refused%s", whose, others)

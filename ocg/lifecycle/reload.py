"""SIGHUP: read the configuration again, take over what can be while serving, and say what needs a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ocg import config, log
from ocg.errors import OcgError
from ocg.lifecycle.notify import Notifier

_log = logging.getLogger(__name__)
S = TypeVar("S", bound=config.Common)

# Takes over new settings while serving; returns the keys of those it can.
Apply = Callable[[S], Awaitable[frozenset[str]]]


class Reloader(Generic[S]):
    """Reads one service's settings, now and again."""

    def __init__(self, sources: config.Sources, cls: type[S]) -> None:
        self._sources = sources
        self._cls = cls
        self.settings = sources.load(cls)

    async def reload(self, apply: Apply[S] | None, notifier: Notifier, status: str) -> None:
        """Reload once. A file with a mistake in it changes nothing; the mistake is logged and shown in STATUS=."""
        notifier.reloading()
        try:
            said = await self._take(apply)
        except OcgError as error:
            _log.error("nothing is reloaded: %s", error)
            said = f"the configuration could not be reloaded: {error}"
        notifier.ready(f"{status}; {said}" if said else status)

    async def _take(self, apply: Apply[S] | None) -> str:
        new = await asyncio.to_thread(self._sources.load, self._cls)
        keys = config.changed(self.settings, new)
        taken = {"OCG_LOG_LEVEL"} | (await apply(new) if apply else frozenset())
        log.set_level(new.log_level)  # last: what cannot be applied changes nothing
        live, rest = [key for key in keys if key in taken], [key for key in keys if key not in taken]
        # What waits for a restart stays in `settings` as it is, so that the next reload says it again.
        self.settings = config.replaced(self.settings, new, taken)
        _log.info("configuration reloaded; new: %s", ", ".join(live) or "nothing")
        if not rest:
            return ""
        _log.warning("%s changed, which takes a restart: ocg restart", ", ".join(rest))
        return f"a restart is needed for {', '.join(rest)}"

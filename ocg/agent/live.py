"""A turn that runs now: its events, kept while it runs, and whoever follows them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from ocg.agent.rows import Turn
from ocg.protocol.events import LAST, Event, TurnEvent


class LiveTurn:
    """A turn's events so far, and the news of more. Followers come and go; the turn goes on.

    `text` is what the model said since the last step that is on disk.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.text = ""
        self.is_cancelled = False
        self.began_s = time.monotonic()
        self._events: list[TurnEvent] = []
        self._news = asyncio.Event()
        self._is_over = False

    def emit(self, kind: type[Event], **fields: Any) -> None:
        """Add an event; it gets the next number."""
        event = kind(turn_id=self.turn.id, session_id=self.turn.session_id, seq=len(self._events) + 1, **fields)
        self._events.append(event)  # type: ignore[arg-type] # every class of events.py is one of TurnEvent
        self._tell()

    def close(self) -> None:
        """End. Without a last event before it, followers know that the turn goes on after the next start."""
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncGenerator[TurnEvent, None]:
        """Give all events from the first, then each as it comes, to the last."""
        at = 0
        while True:
            news = self._news
            while at < len(self._events):
                event = self._events[at]
                at += 1
                yield event
                if isinstance(event, LAST):
                    return
            if self._is_over:
                return
            await news.wait()

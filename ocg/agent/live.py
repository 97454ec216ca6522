"""A turn that runs now: its events, kept while it runs, and whoever follows them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ocg.agent.store import Turn
from ocg.protocol.events import LAST, Event, TurnEvent


class LiveTurn:
    """A turn's events so far, and the news of more. Followers come and go; the turn goes on."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.text = ""
        self.is_cancelled = False
        self._events: list[TurnEvent] = []
        self._news = asyncio.Event()
        self._is_over = False

    def emit(self, kind: type[Event], **fields: Any) -> None:
        """Add an event; it gets the next number."""
        event = kind(turn_id=self.turn.id, session_id=self.turn.session_id, seq=len(self._events) + 1, **fields)
        self._events.append(event)  # type: ignore[arg-type] # every class of events.py is one of TurnEvent
        self._tell()

    def abandon(self) -> None:
        """End without a last event: the agent stops, and takes the turn up again when it is back."""
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncIterator[TurnEvent]:
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

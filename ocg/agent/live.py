"""A turn that runs now: its events, kept while it runs, and whoever follows them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ocg.agent.retelling import unseen, width
from ocg.agent.rows import Turn
from ocg.protocol import events
from ocg.protocol.events import LAST, Event, TurnEvent

Watch = Callable[[Turn, TurnEvent], None]


class LiveTurn:
    """A turn's events so far, and the news of more. Followers come and go; the turn goes on.

    `text` and `reasoning` are what the model said and thought since the last step that is on disk, `spans` in which
    order: whether it thought, and how many characters. `seq` is the number of the last event. With `cancelled_why`
    somebody wants it to end. `first_text_s` is how long the first text took to come, once it has. `limit` is its
    limit of time, while it runs. `watch` is told what happens, and not what is told once more.
    """

    def __init__(self, turn: Turn, watch: Watch | None = None) -> None:
        self.turn = turn
        self._watch = watch
        self.text = ""
        self.reasoning = ""
        self.spans: list[tuple[bool, int]] = []
        self.seq = 0
        self.has_begun = False
        self.cancelled_why = ""
        self.began_s = time.monotonic()
        self.first_text_s: float | None = None
        self.limit: asyncio.Timeout | None = None
        self._events: list[TurnEvent] = []
        self._news = asyncio.Event()
        self._is_closed = False
        self._followers = 0
        self._is_followed, self._is_alone = asyncio.Event(), asyncio.Event()
        self._is_alone.set()

    @property
    def is_over(self) -> bool:
        """Whether its last event was told."""
        return bool(self._events) and isinstance(self._events[-1], LAST)

    @property
    def result(self) -> str:
        """How it ended: ok, joined, or the code of an error; nothing as long as it is not over."""
        match self._events[-1] if self._events else None:
            case events.TurnCompleted():
                return "ok"
            case events.TurnJoined():
                return "joined"
            case events.TurnFailed(code=code):
                return code
        return ""

    def say(self, text: str) -> None:
        """The model says more."""
        if text:
            if self.first_text_s is None:
                self.first_text_s = time.monotonic() - self.began_s
            self.text += text
            self._span(len(text), is_thought=False)
            self.emit(events.TextDelta, text=text)

    def think(self, text: str) -> None:
        """The model thinks more."""
        if text:
            self.reasoning += text
            self._span(len(text), is_thought=True)
            self.emit(events.ReasoningDelta, text=text)

    def _span(self, chars: int, *, is_thought: bool) -> None:
        if self.spans and self.spans[-1][0] == is_thought:
            chars += self.spans.pop()[1]
        self.spans.append((is_thought, chars))

    def begin_step(self) -> None:
        """What the model says from here on is another step; what it said of this one and is not on disk is void."""
        if lost := len(self.text) + len(self.reasoning):
            self.emit(events.TurnResumed, kept=self.seq - lost)
        self.end_step()

    def end_step(self) -> None:
        """All of the step is on disk."""
        self.text, self.reasoning, self.spans = "", "", []

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have its limit of time stand still: a person is asked."""
        limit, began_s = self.limit, asyncio.get_running_loop().time()
        ends_s = limit.when() if limit is not None else None
        if limit is None or ends_s is None:
            yield
            return
        limit.reschedule(None)
        try:
            yield
        finally:
            limit.reschedule(ends_s + asyncio.get_running_loop().time() - began_s)

    def emit(self, kind: type[Event], **fields: Any) -> None:
        """Add an event; it gets the next number."""
        seq = self.seq + width(kind, fields.get("text", ""))
        event = kind(turn_id=self.turn.id, session_id=self.turn.session_id, seq=seq, **fields)
        self.happen(event)  # type: ignore[arg-type] # every class of events.py is one of TurnEvent

    def happen(self, event: TurnEvent) -> None:
        """Add an event that has its number, and have it watched."""
        self.tell([event])
        if self._watch is not None:
            self._watch(self.turn, event)

    def tell(self, told: Sequence[TurnEvent]) -> None:
        """Add events that have their numbers."""
        self._events += told
        self.seq = self._events[-1].seq
        self._tell()

    def close(self) -> None:
        """End. Without a last event before it, followers know that the turn goes on after the next start."""
        self._is_closed = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, after: int = 0) -> AsyncGenerator[TurnEvent, None]:
        """Give all events behind number `after`, then each as it comes, to the last."""
        with self._followed():
            at = 0
            while True:
                news = self._news
                while at < len(self._events):
                    event = self._events[at]
                    at += 1
                    if (new := unseen(event, after)) is not None:
                        yield new
                    if isinstance(event, LAST):
                        return
                if self._is_closed:
                    return
                await news.wait()

    async def deserted(self, after_s: float) -> None:
        """Wait until nobody has followed it for so long."""
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(after_s):
                    await self._is_followed.wait()
                await self._is_alone.wait()

    @contextmanager
    def _followed(self) -> Iterator[None]:
        self._followers += 1
        self._is_alone.clear()
        self._is_followed.set()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._is_followed.clear()
                self._is_alone.set()

"""Items of a response in the making: each tells how it grows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ocg.gateway.openai.responses import events
from ocg.gateway.openai.responses.events import ResponseEvent
from ocg.gateway.openai.responses.items import (
    CallItem,
    MadeItem,
    MessageItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Status,
    new_id,
)

# Makes an event of a kind, with the next number.
Tell = Callable[..., ResponseEvent]


@dataclass(frozen=True, slots=True)
class Way:
    """How something is put: the item without its content, the part that this is, and what tells of it."""

    item: MessageItem | ReasoningItem
    part: type[OutputText | ReasoningText]
    delta: type[ResponseEvent]
    done: type[ResponseEvent]


SAID = Way(MessageItem(role="assistant", content=()), OutputText, events.TextDeltaEvent, events.TextDoneEvent)
THOUGHT = Way(ReasoningItem(), ReasoningText, events.ReasoningDeltaEvent, events.ReasoningDoneEvent)


class Making(ABC):
    """An item in the making; `empty` is how it begins, `index` its place in the response."""

    def __init__(self, empty: MadeItem, index: int, tell: Tell) -> None:
        self.item = msgspec.structs.replace(empty, id=new_id(type(empty)), status="in_progress")
        self._index = index
        self._tell = tell
        self._texts: list[str] = []

    def begin(self) -> Iterator[ResponseEvent]:
        """Tell that it begins."""
        yield self._tell(events.ItemAddedEvent, output_index=self._index, item=self.item)
        yield from self._begun()

    def more(self, text: str) -> ResponseEvent:
        """Add to it."""
        self._texts.append(text)
        return self._grown(text)

    def end(self, status: Status) -> Iterator[ResponseEvent]:
        """Tell that it is whole."""
        if self.item.status == "in_progress":
            text = "".join(self._texts)
            yield from self._ended(text)
            self.item = msgspec.structs.replace(self._with(text), status=status)
            yield self._tell(events.ItemDoneEvent, output_index=self._index, item=self.item)

    def _within(self, kind: type[ResponseEvent], **fields: Any) -> ResponseEvent:
        return self._tell(kind, output_index=self._index, item_id=self.item.id, **fields)

    def _begun(self) -> Iterator[ResponseEvent]:
        yield from ()

    @abstractmethod
    def _grown(self, text: str) -> ResponseEvent:
        """Tell of more text."""

    @abstractmethod
    def _ended(self, text: str) -> Iterator[ResponseEvent]:
        """Tell that its text is whole."""

    @abstractmethod
    def _with(self, text: str) -> MadeItem:
        """Return the item with all its text."""


class Speech(Making):
    """Something said or thought: one part of content."""

    def __init__(self, way: Way, index: int, tell: Tell) -> None:
        super().__init__(way.item, index, tell)
        self.way = way

    def _begun(self) -> Iterator[ResponseEvent]:
        yield self._within(events.PartAddedEvent, part=self.way.part(text=""))

    def _grown(self, text: str) -> ResponseEvent:
        return self._within(self.way.delta, delta=text)

    def _ended(self, text: str) -> Iterator[ResponseEvent]:
        yield self._within(self.way.done, text=text)
        yield self._within(events.PartDoneEvent, part=self.way.part(text=text))

    def _with(self, text: str) -> MadeItem:
        return msgspec.structs.replace(self.item, content=(self.way.part(text=text),))


class Called(Making):
    """A call of a tool of the client's."""

    def __init__(self, call: CallItem, index: int, tell: Tell) -> None:
        super().__init__(call, index, tell)
        self._name = call.name

    def _grown(self, text: str) -> ResponseEvent:
        return self._within(events.ArgumentsDeltaEvent, delta=text)

    def _ended(self, text: str) -> Iterator[ResponseEvent]:
        yield self._within(events.ArgumentsDoneEvent, name=self._name, arguments=text)

    def _with(self, text: str) -> MadeItem:
        return msgspec.structs.replace(self.item, arguments=text)

"""Pieces of an answer become the items of a response, and each step is told as an event."""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ocg.errors import OcgError
from ocg.gateway.chats.pieces import Arguments, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.openai.responses import answer
from ocg.gateway.openai.responses.answer import Event, Failure, IncompleteDetails, Response, ResponseUsage
from ocg.gateway.openai.responses.items import (
    Call,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Status,
    new_id,
)

Tell = Callable[..., Event]


class Writer:
    """Writes one response. `response` is how far it is; after the end it is how it ended."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self._numbers = itertools.count()
        self._items: list[_Open] = []
        self._said: _Speech | None = None
        self._calls: dict[int, _Call] = {}

    def begin(self) -> Iterator[Event]:
        """Tell that it begins."""
        yield self._tell(answer.Created, response=self.response)
        yield self._tell(answer.InProgress, response=self.response)

    def of(self, piece: Piece) -> Iterator[Event]:
        """Tell what a piece adds."""
        match piece:
            case Text():
                yield from self._speech(_Message, piece.text)
            case Thought():
                yield from self._speech(_Thoughts, piece.text)
            case CallBegun():
                yield from self._hush()
                # A call stays open to the end: those of a reply may come side by side.
                call = self._calls[piece.index] = _Call(len(self._items), self._tell, piece)
                yield from self._begin(call)
            case Arguments():
                yield self._calls[piece.index].more(piece.text)
            case Ended():
                yield from self._end(piece)

    def last(self) -> Event:
        """Tell how it ended."""
        kind = answer.Completed if self.response.status == "completed" else answer.Incomplete
        return self._tell(kind, response=self.response)

    def failed(self, error: OcgError) -> Event:
        """Tell that it failed, and what there was of it."""
        output = tuple(one.item("incomplete") for one in self._items)
        self._become("failed", output=output, error=Failure.of(error))
        return self._tell(answer.Failed, response=self.response)

    def _tell(self, kind: type[Event], **fields: Any) -> Event:
        return kind(sequence_number=next(self._numbers), **fields)

    def _speech(self, kind: "type[_Speech]", text: str) -> Iterator[Event]:
        if not isinstance(self._said, kind):
            yield from self._hush()
            self._said = kind(len(self._items), self._tell)
            yield from self._begin(self._said)
        yield self._said.more(text)

    def _hush(self) -> Iterator[Event]:
        if self._said is not None:
            yield from self._said.end("completed")
        self._said = None

    def _begin(self, item: "_Open") -> Iterator[Event]:
        self._items.append(item)
        yield from item.begin()

    def _end(self, ended: Ended) -> Iterator[Event]:
        is_cut = ended.finish == "length"
        if not self._items:  # an answer without a word is one
            yield from self._speech(_Message, "")
        for one in self._items:
            if one is self._said or one in self._calls.values():
                yield from one.end("incomplete" if is_cut and one is self._items[-1] else "completed")
        self._become(
            "incomplete" if is_cut else "completed",
            output=tuple(one.item(one.status) for one in self._items),
            usage=ResponseUsage.of(ended.usage),
            completed_at=None if is_cut else int(time.time()),
            incomplete_details=IncompleteDetails(reason="max_output_tokens") if is_cut else None,
        )

    def _become(self, status: str, **fields: Any) -> None:
        self.response = msgspec.structs.replace(self.response, status=status, **fields)


class _Open(ABC):
    """An item in the making."""

    def __init__(self, index: int, tell: Tell, kind: type[Message | Call | Reasoning]) -> None:
        self.status: Status = "in_progress"
        self._id = new_id(kind)
        self._index = index
        self._tell = tell
        self._parts: list[str] = []

    @property
    def _text(self) -> str:
        return "".join(self._parts)

    @abstractmethod
    def item(self, status: Status) -> Message | Call | Reasoning:
        """Return it as far as it is."""

    def begin(self) -> Iterator[Event]:
        """Tell that it begins."""
        yield self._tell(answer.ItemAdded, output_index=self._index, item=self.item("in_progress"))

    @abstractmethod
    def more(self, text: str) -> Event:
        """Add to it."""

    def end(self, status: Status) -> Iterator[Event]:
        """Tell that it is whole."""
        self.status = status
        yield self._tell(answer.ItemDone, output_index=self._index, item=self.item(status))

    def _within(self, kind: type[Event], **fields: Any) -> Event:
        return self._tell(kind, output_index=self._index, item_id=self._id, **fields)


class _Speech(_Open):
    """Something said or thought: one part of content."""

    delta: type[Event]
    done: type[Event]

    @abstractmethod
    def part(self, text: str) -> OutputText | ReasoningText:
        """Make the part of its content."""

    def begin(self) -> Iterator[Event]:
        yield from super().begin()
        yield self._within(answer.PartAdded, part=self.part(""))

    def more(self, text: str) -> Event:
        self._parts.append(text)
        return self._within(self.delta, delta=text)

    def end(self, status: Status) -> Iterator[Event]:
        yield self._within(self.done, text=self._text)
        yield self._within(answer.PartDone, part=self.part(self._text))
        yield from super().end(status)


class _Message(_Speech):
    delta = answer.TextDelta
    done = answer.TextDone

    def __init__(self, index: int, tell: Tell) -> None:
        super().__init__(index, tell, Message)

    def item(self, status: Status) -> Message:
        content = (self.part(self._text),) if self._parts else ()
        return Message(role="assistant", id=self._id, status=status, content=content)

    def part(self, text: str) -> OutputText:
        return OutputText(text=text)


class _Thoughts(_Speech):
    delta = answer.ReasoningDelta
    done = answer.ReasoningDone

    def __init__(self, index: int, tell: Tell) -> None:
        super().__init__(index, tell, Reasoning)

    def item(self, status: Status) -> Reasoning:
        content = (self.part(self._text),) if self._parts else ()
        return Reasoning(id=self._id, status=status, content=content)

    def part(self, text: str) -> ReasoningText:
        return ReasoningText(text=text)


class _Call(_Open):
    def __init__(self, index: int, tell: Tell, begun: CallBegun) -> None:
        super().__init__(index, tell, Call)
        self._begun = begun

    def item(self, status: Status) -> Call:
        return Call(
            id=self._id, status=status, call_id=self._begun.id, name=self._begun.name, arguments=self._text
        )

    def more(self, text: str) -> Event:
        self._parts.append(text)
        return self._within(answer.ArgumentsDelta, delta=text)

    def end(self, status: Status) -> Iterator[Event]:
        yield self._within(answer.ArgumentsDone, name=self._begun.name, arguments=self._text)
        yield from super().end(status)

"""Pieces of an answer become the items of a response, and each step is told as an event."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from ocg.errors import OcgError
from ocg.gateway.chats.pieces import Arguments, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.openai.responses import events
from ocg.gateway.openai.responses.answer import IncompleteDetails, ResponseFailure, ResponseObject, ResponseUsage
from ocg.gateway.openai.responses.events import ResponseEvent
from ocg.gateway.openai.responses.items import CallItem
from ocg.gateway.openai.responses.making import SAID, THOUGHT, Called, Making, Speech, Way
from ocg.gateway.openai.responses.request import functions_of


class Writer:
    """Writes one response. `response` is what it was before its first piece, and how it ended after the last."""

    def __init__(self, response: ResponseObject) -> None:
        self.response = response
        self._functions = functions_of(response.tools)
        self._numbers = itertools.count()
        self._items: list[Making] = []
        self._speech: Speech | None = None
        self._calls: dict[int, Called] = {}

    def begin(self) -> Iterator[ResponseEvent]:
        """Tell that it begins."""
        yield self._tell(events.CreatedEvent, response=self.response)
        yield self._tell(events.InProgressEvent, response=self.response)

    def of(self, piece: Piece) -> Iterator[ResponseEvent]:
        """Tell what a piece adds."""
        match piece:
            case Text():
                yield from self._say(SAID, piece.text)
            case Thought():
                yield from self._say(THOUGHT, piece.text)
            case CallBegun():
                yield from self._fall_silent()
                # It stays open to the end: the calls of an answer may come side by side.
                call = self._calls[piece.index] = Called(self._call(piece), len(self._items), self._tell)
                yield from self._begin(call)
            case Arguments():
                yield self._calls[piece.index].more(piece.text)
            case Ended():
                yield from self._end(piece)

    def last(self) -> ResponseEvent:
        """Tell how it ended."""
        kind = events.CompletedEvent if self.response.status == "completed" else events.IncompleteEvent
        return self._tell(kind, response=self.response)

    def failed(self, error: OcgError) -> ResponseEvent:
        """Tell that it failed, and what was whole of it."""
        output = tuple(one.item for one in self._items if one.item.status == "completed")
        self._become("failed", output=output, error=ResponseFailure.of(error), completed_at=None, usage=None)
        return self._tell(events.FailedEvent, response=self.response)

    def _call(self, begun: CallBegun) -> CallItem:
        function, namespace = self._functions.get(begun.name, (None, None))
        name = function.name if function else begun.name
        return CallItem(call_id=begun.id, name=name, namespace=namespace, arguments="")

    def _tell(self, kind: type[ResponseEvent], **fields: Any) -> ResponseEvent:
        return kind(sequence_number=next(self._numbers), **fields)

    def _say(self, way: Way, text: str) -> Iterator[ResponseEvent]:
        if self._speech is None or self._speech.way is not way:
            yield from self._fall_silent()
            self._speech = Speech(way, len(self._items), self._tell)
            yield from self._begin(self._speech)
        yield self._speech.more(text)

    def _fall_silent(self) -> Iterator[ResponseEvent]:
        if self._speech is not None:
            yield from self._speech.end("completed")
        self._speech = None

    def _begin(self, item: Making) -> Iterator[ResponseEvent]:
        self._items.append(item)
        yield from item.begin()

    def _end(self, ended: Ended) -> Iterator[ResponseEvent]:
        if not self._items:  # an answer without a word is one
            yield from self._say(SAID, "")
        is_cut = ended.finish == "length"
        for one in self._items:
            yield from one.end("incomplete" if is_cut and one is self._items[-1] else "completed")
        self._become(
            "incomplete" if is_cut else "completed",
            output=tuple(one.item for one in self._items),
            usage=ResponseUsage.of(ended.usage),
            completed_at=None if is_cut else int(time.time()),
            incomplete_details=IncompleteDetails(reason="max_output_tokens") if is_cut else None,
        )

    def _become(self, status: str, **fields: Any) -> None:
        self.response = msgspec.structs.replace(self.response, status=status, **fields)

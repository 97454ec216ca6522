"""What a stream of a response tells (platform.openai.com/docs/api-reference/responses-streaming)."""

from typing import Any

import msgspec

from ocg.gateway.openai.responses.answer import ResponseObject
from ocg.gateway.openai.responses.items import MadeItem, OutputText, ReasoningText
from ocg.protocol import sse, wire


class ResponseEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What a stream tells; the numbers begin with 0 and grow by one."""

    sequence_number: int


class _OfResponse(ResponseEvent, frozen=True, kw_only=True):
    response: ResponseObject


class CreatedEvent(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    """It begins."""


class InProgressEvent(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    """The model is at work."""


class CompletedEvent(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    """It is whole; comes last."""


class IncompleteEvent(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    """It ended at its limit of tokens; comes last."""


class FailedEvent(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """It failed; comes last."""


class _OfItem(ResponseEvent, frozen=True, kw_only=True):
    output_index: int
    item: MadeItem


class ItemAddedEvent(_OfItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""


class ItemDoneEvent(_OfItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item is whole."""


class _Within(ResponseEvent, frozen=True, kw_only=True):
    output_index: int
    item_id: str


class _OfPart(_Within, frozen=True, kw_only=True):
    content_index: int = 0


class PartAddedEvent(_OfPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A part of an item's content begins."""

    part: OutputText | ReasoningText


class PartDoneEvent(_OfPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A part of an item's content is whole."""

    part: OutputText | ReasoningText


class TextDeltaEvent(_OfPart, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    delta: str
    logprobs: tuple[Any, ...] = ()


class TextDoneEvent(_OfPart, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text."""

    text: str
    logprobs: tuple[Any, ...] = ()


class ReasoningDeltaEvent(_OfPart, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    """More thoughts."""

    delta: str


class ReasoningDoneEvent(_OfPart, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    """All thoughts."""

    text: str


class ArgumentsDeltaEvent(_Within, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDoneEvent(_Within, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """All arguments of a call."""

    name: str
    arguments: str


StreamedEvent = (
    CreatedEvent
    | InProgressEvent
    | ItemAddedEvent
    | PartAddedEvent
    | TextDeltaEvent
    | TextDoneEvent
    | ReasoningDeltaEvent
    | ReasoningDoneEvent
    | ArgumentsDeltaEvent
    | ArgumentsDoneEvent
    | PartDoneEvent
    | ItemDoneEvent
    | CompletedEvent
    | IncompleteEvent
    | FailedEvent
)


def frame(event: ResponseEvent) -> bytes:
    """Write an event; OpenAI's own streams name it twice."""
    return b"event: %s\n" % str(type(event).__struct_config__.tag).encode() + sse.frame(wire.encode(event))

"""The Response object, and what a stream of it tells (platform.openai.com/docs/api-reference/responses)."""

import time
import uuid
from typing import Any, Literal

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.openai.responses.items import Call, Item, Message, OutputText, Reasoning, ReasoningText
from ocg.gateway.openai.responses.request import (
    Choice,
    CreateResponse,
    FunctionTool,
    ReasoningOptions,
    TextOptions,
    tools_of,
)
from ocg.protocol import sse, wire
from ocg.protocol.messages import Usage
from ocg.protocol.struct import Struct

_FAILURES = {
    Code.BUSY: "rate_limit_exceeded",
    Code.CONTEXT_LENGTH: "context_length_exceeded",
    Code.INVALID_REQUEST: "invalid_prompt",
}


class InputDetails(Struct, frozen=True):
    """How many of the input's tokens the provider had already."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """How many of the output's tokens were thoughts, where it is known."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True):
    """Tokens it took."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> "ResponseUsage":
        """From ours."""
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(),
            total_tokens=usage.total_tokens,
        )


class Failure(Struct, frozen=True):
    """Why it failed."""

    code: str
    message: str

    @classmethod
    def of(cls, error: OcgError) -> "Failure":
        """From our error: a code that OpenAI's clients know, and what to do in the message."""
        return cls(code=_FAILURES.get(error.code, "server_error"), message=str(error))


class IncompleteDetails(Struct, frozen=True):
    """Why it is not whole."""

    reason: Literal["max_output_tokens"]


class Response(Struct, frozen=True):
    """An answer, with what was asked of it."""

    id: str
    created_at: int
    model: str
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "in_progress"
    completed_at: int | None = None
    error: Failure | None = None
    incomplete_details: IncompleteDetails | None = None
    output: tuple[Message | Call | Reasoning, ...] = ()
    usage: ResponseUsage | None = None
    previous_response_id: str | None = None
    store: bool = True
    background: bool = False
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    parallel_tool_calls: bool = True
    reasoning: ReasoningOptions = ReasoningOptions()
    temperature: float | None = None
    text: TextOptions = TextOptions()
    tool_choice: Choice = "auto"
    tools: tuple[FunctionTool, ...] = ()
    top_p: float | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    user: str | None = None
    object: Literal["response"] = "response"


def response_to(asked: CreateResponse) -> Response:
    """Begin the response to a request."""
    return Response(
        id=f"resp_{uuid.uuid4().hex}",
        created_at=int(time.time()),
        model=asked.model,
        previous_response_id=asked.previous_response_id,
        store=asked.is_kept,
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        reasoning=asked.reasoning or ReasoningOptions(),
        temperature=asked.temperature,
        text=asked.text or TextOptions(),
        tool_choice=asked.tool_choice or "auto",
        tools=tools_of(asked),
        top_p=asked.top_p,
        truncation=asked.truncation or "disabled",
        user=asked.user,
    )


class ItemList(Struct, frozen=True):
    """GET /v1/responses/{id}/input_items."""

    data: tuple[Item, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class Deleted(Struct, frozen=True):
    """DELETE /v1/responses/{id}."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What a stream tells; the numbers begin with 0 and grow by one."""

    sequence_number: int


class _OfResponse(Event, frozen=True):
    response: Response


class Created(_OfResponse, frozen=True, tag="response.created"):
    """It begins."""


class InProgress(_OfResponse, frozen=True, tag="response.in_progress"):
    """The model is at work."""


class Completed(_OfResponse, frozen=True, tag="response.completed"):
    """It is whole; comes last."""


class Incomplete(_OfResponse, frozen=True, tag="response.incomplete"):
    """It ended at its limit of tokens; comes last."""


class Failed(_OfResponse, frozen=True, tag="response.failed"):
    """It failed; comes last."""


class _OfItem(Event, frozen=True):
    output_index: int
    item: Message | Call | Reasoning


class ItemAdded(_OfItem, frozen=True, tag="response.output_item.added"):
    """An item begins."""


class ItemDone(_OfItem, frozen=True, tag="response.output_item.done"):
    """An item is whole."""


class _Within(Event, frozen=True):
    output_index: int
    item_id: str


class _OfPart(_Within, frozen=True):
    content_index: int = 0


class PartAdded(_OfPart, frozen=True, tag="response.content_part.added"):
    """A part of an item's content begins."""

    part: OutputText | ReasoningText


class PartDone(_OfPart, frozen=True, tag="response.content_part.done"):
    """A part of an item's content is whole."""

    part: OutputText | ReasoningText


class TextDelta(_OfPart, frozen=True, tag="response.output_text.delta"):
    """More text."""

    delta: str
    logprobs: tuple[Any, ...] = ()


class TextDone(_OfPart, frozen=True, tag="response.output_text.done"):
    """The whole text."""

    text: str
    logprobs: tuple[Any, ...] = ()


class ReasoningDelta(_OfPart, frozen=True, tag="response.reasoning_text.delta"):
    """More thoughts."""

    delta: str


class ReasoningDone(_OfPart, frozen=True, tag="response.reasoning_text.done"):
    """All thoughts."""

    text: str


class ArgumentsDelta(_Within, frozen=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDone(_Within, frozen=True, tag="response.function_call_arguments.done"):
    """All arguments of a call."""

    name: str
    arguments: str


def frame(event: Event) -> bytes:
    """Write an event; OpenAI's own streams name it twice."""
    return b"event: %s\n" % str(type(event).__struct_config__.tag).encode() + sse.frame(wire.encode(event))

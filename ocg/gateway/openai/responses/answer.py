"""The Response object (platform.openai.com/docs/api-reference/responses/object)."""

import time
import uuid
from typing import Literal

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.chats.turn import AGENT_MODEL
from ocg.gateway.openai.responses.items import Item, MadeItem
from ocg.gateway.openai.responses.request import (
    Choice,
    CreateResponse,
    FunctionTool,
    ReasoningOptions,
    TextOptions,
    ToolGroup,
    tools_of,
)
from ocg.protocol.messages import Usage
from ocg.protocol.struct import Struct

_FAILURES = {
    Code.BUSY: "rate_limit_exceeded",
    Code.RATE_LIMIT: "rate_limit_exceeded",
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


class ResponseFailure(Struct, frozen=True):
    """Why it failed."""

    code: str
    message: str

    @classmethod
    def of(cls, error: OcgError) -> "ResponseFailure":
        """From our error: a code that OpenAI's clients know, and what to do in the message."""
        return cls(code=_FAILURES.get(error.code, "server_error"), message=str(error))


class IncompleteDetails(Struct, frozen=True):
    """Why it is not whole."""

    reason: Literal["max_output_tokens"]


class ResponseObject(Struct, frozen=True):
    """An answer, with what was asked of it."""

    id: str
    created_at: int
    model: str
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "in_progress"
    completed_at: int | None = None
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    output: tuple[MadeItem, ...] = ()
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
    tools: tuple[FunctionTool | ToolGroup, ...] = ()
    top_p: float | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    user: str | None = None
    object: Literal["response"] = "response"


def response_to(asked: CreateResponse) -> ResponseObject:
    """Begin the response to a request."""
    return ResponseObject(
        id=f"resp_{uuid.uuid4().hex}",
        created_at=int(time.time()),
        model=asked.model or AGENT_MODEL,
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


class InputItems(Struct, frozen=True):
    """GET /v1/responses/{id}/input_items."""

    data: tuple[Item, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedResponse(Struct, frozen=True):
    """DELETE /v1/responses/{id}."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True

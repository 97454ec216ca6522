"""Answers to chats in OpenAI's form, for whoever gives one: whole, and as the chunks of a stream."""

import time
import uuid
from collections.abc import Sequence

from msgspec import UNSET

from ocg.protocol import sse, wire
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.openai import (
    AnswerMessage,
    CalledTool,
    ChatAnswer,
    ChatChunk,
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    FunctionDelta,
    TokenCount,
    ToolCallDelta,
)

# What ends a stream.
_DONE = b"data: [DONE]\n\n"


def new_id() -> str:
    """Make the id of an answer."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def choice(text: str, calls: Sequence[ToolUse], finish: str, *, thought: str = "", index: int = 0) -> Choice:
    """Put one answer into a choice; where tools are called, no text is null."""
    called = tuple(
        CalledTool(id=one.id, function=FunctionCall(name=one.name, arguments=one.arguments), type="function")
        for one in calls
    )
    message = AnswerMessage(
        content=text or (None if calls else ""),
        reasoning_content=thought or UNSET,
        tool_calls=called or UNSET,
    )
    return Choice(message=message, finish_reason=finish, index=index)


def completion(model: str, choices: Sequence[Choice], usage: Usage, *, id: str = "") -> ChatAnswer:  # noqa: A002 - its name
    """Put choices into a whole answer."""
    return ChatAnswer(
        id=id or new_id(), created=int(time.time()), model=model, choices=tuple(choices), usage=TokenCount.of(usage)
    )


class Chunks:
    """Writes the chunks of one stream, as events; each belongs to the choice of its `index`."""

    def __init__(self, model: str, *, wants_usage: bool, id: str = "") -> None:  # noqa: A002 - its name
        self._id = id or new_id()
        self._created = int(time.time())
        self._model = model
        self._wants_usage = wants_usage

    def role(self, *, index: int = 0) -> bytes:
        """Write the first chunk, which says whose text follows."""
        return self._delta(Delta(role="assistant", content=""), index)

    def text(self, text: str, *, index: int = 0) -> bytes:
        """Write more of the answer."""
        return self._delta(Delta(content=text), index)

    def thought(self, text: str, *, index: int = 0) -> bytes:
        """Write more of what the model thinks first."""
        return self._delta(Delta(reasoning_content=text), index)

    def call(self, number: int, call: ToolUse, *, index: int = 0) -> bytes:
        """Write that a tool is called, with as much of the arguments as there is; `number` counts from 0."""
        function = FunctionDelta(name=call.name, arguments=call.arguments)
        begun = ToolCallDelta(index=number, id=call.id, type="function", function=function)
        return self._delta(Delta(tool_calls=(begun,)), index)

    def arguments(self, number: int, text: str, *, index: int = 0) -> bytes:
        """Write more of a call's arguments."""
        more = ToolCallDelta(index=number, function=FunctionDelta(arguments=text))
        return self._delta(Delta(tool_calls=(more,)), index)

    def finish(self, reason: str, *, index: int = 0) -> bytes:
        """Write why a choice ends."""
        return self._frame(ChunkChoice(delta=Delta(), finish_reason=reason, index=index))

    def end(self, usage: Usage) -> bytes:
        """Write the usage if it is wanted, and the mark of the end."""
        return (self._frame(usage=TokenCount.of(usage)) if self._wants_usage else b"") + _DONE

    def _delta(self, delta: Delta, index: int) -> bytes:
        return self._frame(ChunkChoice(delta=delta, index=index))

    def _frame(self, *choices: ChunkChoice, usage: TokenCount | None = None) -> bytes:
        chunk = ChatChunk(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        return sse.frame(wire.encode(chunk))

"""An answer as OpenAI's objects: `chat.completion`, and `chat.completion.chunk` in a stream."""

import time
from collections.abc import Iterator, Sequence

from ocg.gateway.chats.pieces import Arguments, Begun, CallBegun, Ended, Piece, Text, Thought, Whole
from ocg.protocol import sse, wire
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.openai import (
    DONE,
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


def completion(answers: Sequence[Whole]) -> ChatAnswer:
    """Put whole answers into one object, a choice each."""
    first = answers[0].begun
    return ChatAnswer(
        id=_id(first),
        created=int(time.time()),
        model=first.model,
        choices=tuple(_choice(one, index) for index, one in enumerate(answers)),
        usage=TokenCount.of(total([one.ended.usage for one in answers])),
    )


def _choice(answer: Whole, index: int) -> Choice:
    message = AnswerMessage(content=answer.text or (None if answer.calls else ""))
    if answer.calls:
        calls = tuple(_call(one) for one in answer.calls)
        message = AnswerMessage(content=answer.text or None, tool_calls=calls)
    return Choice(message=message, finish_reason=answer.ended.finish, index=index)


def _call(call: ToolUse) -> CalledTool:
    return CalledTool(id=call.id, function=FunctionCall(name=call.name, arguments=call.arguments), type="function")


def total(usages: Sequence[Usage]) -> Usage:
    """Add up what answers took."""
    return Usage(
        prompt_tokens=sum(one.prompt_tokens for one in usages),
        completion_tokens=sum(one.completion_tokens for one in usages),
        cached_tokens=sum(one.cached_tokens for one in usages),
        cost=sum(one.cost for one in usages),
    )


class Chunks:
    """Writes the chunks of one stream, whose choices come as they like."""

    def __init__(self, *, wants_usage: bool) -> None:
        self._begun = Begun("", "")
        self._created = int(time.time())
        self._wants_usage = wants_usage
        self._usages: list[Usage] = []

    def of(self, piece: Piece, index: int) -> Iterator[bytes]:
        """Write what a piece adds to the choice of that index."""
        match piece:
            case Begun():
                self._begun = self._begun if self._begun.id else piece
                yield self._delta(Delta(role="assistant", content=""), index)
            case Text():
                yield self._delta(Delta(content=piece.text), index)
            case Thought():
                yield self._delta(Delta(reasoning_content=piece.text), index)
            case CallBegun():
                function = FunctionDelta(name=piece.name, arguments="")
                call = ToolCallDelta(index=piece.index, id=piece.id, type="function", function=function)
                yield self._delta(Delta(tool_calls=(call,)), index)
            case Arguments():
                call = ToolCallDelta(index=piece.index, function=FunctionDelta(arguments=piece.text))
                yield self._delta(Delta(tool_calls=(call,)), index)
            case Ended():
                self._usages.append(piece.usage)
                yield self._frame(ChunkChoice(delta=Delta(), finish_reason=piece.finish, index=index))

    def end(self) -> bytes:
        """Write the usage if it is wanted, and the mark of the end."""
        usage = self._frame(usage=TokenCount.of(total(self._usages))) if self._wants_usage else b""
        return usage + DONE

    def _delta(self, delta: Delta, index: int) -> bytes:
        return self._frame(ChunkChoice(delta=delta, index=index))

    def _frame(self, *choices: ChunkChoice, usage: TokenCount | None = None) -> bytes:
        chunk = ChatChunk(
            id=_id(self._begun), created=self._created, model=self._begun.model, choices=choices, usage=usage
        )
        return sse.frame(wire.encode(chunk))


def _id(begun: Begun) -> str:
    return begun.id if begun.id.startswith("chatcmpl-") else f"chatcmpl-{begun.id}"

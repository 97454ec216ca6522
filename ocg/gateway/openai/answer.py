"""Pieces as OpenAI's objects: `chat.completion`, and `chat.completion.chunk` in a stream."""

from collections.abc import Iterator, Sequence

from ocg.gateway.chats.pieces import Arguments, Begun, CallBegun, Ended, Piece, Text, Thought, Whole
from ocg.protocol import chunks
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.openai import ChatAnswer


def completion(answers: Sequence[Whole]) -> ChatAnswer:
    """Put whole answers into one object, a choice each."""
    first = answers[0].begun
    choices = [
        chunks.choice(one.text, one.calls, one.ended.finish, thought=one.thought, index=index)
        for index, one in enumerate(answers)
    ]
    return chunks.completion(first.model, choices, total([one.ended.usage for one in answers]), id=_id(first))


def total(usages: Sequence[Usage]) -> Usage:
    """Add up what answers took."""
    return Usage(
        prompt_tokens=sum(one.prompt_tokens for one in usages),
        completion_tokens=sum(one.completion_tokens for one in usages),
        cached_tokens=sum(one.cached_tokens for one in usages),
        cost=sum(one.cost for one in usages),
    )


class Written:
    """One stream, whose choices come as they like; it is named after the first that begins."""

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._chunks: chunks.Chunks | None = None
        self._usages: list[Usage] = []

    def of(self, piece: Piece, index: int) -> Iterator[bytes]:
        """Write what a piece adds to the choice of that index."""
        if self._chunks is None:
            begun = piece if isinstance(piece, Begun) else Begun("", "")
            self._chunks = chunks.Chunks(begun.model, wants_usage=self._wants_usage, id=_id(begun))
        match piece:
            case Begun():
                yield self._chunks.role(index=index)
            case Text():
                yield self._chunks.text(piece.text, index=index)
            case Thought():
                yield self._chunks.thought(piece.text, index=index)
            case CallBegun():
                call = ToolUse(id=piece.id, name=piece.name, arguments="")
                yield self._chunks.call(piece.index, call, index=index)
            case Arguments():
                yield self._chunks.arguments(piece.index, piece.text, index=index)
            case Ended():
                self._usages.append(piece.usage)
                yield self._chunks.finish(piece.finish, index=index)

    def end(self) -> bytes:
        """Write the usage if it is wanted, and the mark of the end."""
        return self._chunks.end(total(self._usages)) if self._chunks else b""


def _id(begun: Begun) -> str:
    return begun.id if begun.id.startswith("chatcmpl-") else f"chatcmpl-{begun.id}"

"""The agent's events as OpenAI's objects: `chat.completion`, and `chat.completion.chunk` in a stream."""

import time

from ocg.errors import Code, OcgError
from ocg.gateway.openai.request import AGENT_MODEL
from ocg.protocol import sse, wire
from ocg.protocol.events import TurnCompleted, TurnEvent, TurnFailed
from ocg.protocol.openai import AnswerMessage, ChatAnswer, ChatChunk, Choice, ChunkChoice, Delta, TokenCount

DONE = b"data: [DONE]\n\n"


def completion(event: TurnCompleted) -> ChatAnswer:
    """Put the last event of a turn into an answer."""
    return ChatAnswer(
        id=_id(event),
        created=int(time.time()),
        model=AGENT_MODEL,
        choices=(Choice(message=AnswerMessage(content=event.text), finish_reason="stop"),),
        usage=TokenCount.of(event.usage),
    )


class Chunks:
    """Writes the chunks of one answer."""

    def __init__(self, event: TurnEvent, *, wants_usage: bool) -> None:
        self._id = _id(event)
        self._created = int(time.time())
        self._wants_usage = wants_usage

    def role(self) -> bytes:
        """Write the first chunk, which says whose text follows."""
        return self._chunk(Delta(role="assistant", content=""))

    def text(self, text: str) -> bytes:
        """Write more of the text."""
        return self._chunk(Delta(content=text))

    def end(self, event: TurnCompleted) -> bytes:
        """Write why it ends, the usage if it is wanted, and the mark of the end."""
        last = self._frame(ChunkChoice(delta=Delta(), finish_reason="stop"))
        if self._wants_usage:
            last += self._frame(usage=TokenCount.of(event.usage))
        return last + DONE

    def _chunk(self, delta: Delta) -> bytes:
        return self._frame(ChunkChoice(delta=delta))

    def _frame(self, *choices: ChunkChoice, usage: TokenCount | None = None) -> bytes:
        chunk = ChatChunk(id=self._id, created=self._created, model=AGENT_MODEL, choices=choices, usage=usage)
        return sse.frame(wire.encode(chunk))


def failure(event: TurnFailed) -> OcgError:
    """Turn a failed turn back into the error it was."""
    try:
        return OcgError(Code(event.code), event.message, event.hint)
    except ValueError:  # a newer agent's
        return OcgError(Code.PROVIDER, event.message, event.hint)


def error_frame(error: OcgError) -> bytes:
    """Write an error into a stream that has begun; OpenAI's clients raise it."""
    return sse.frame(wire.error_body(error))


def _id(event: TurnEvent) -> str:
    return f"chatcmpl-{event.turn_id}"

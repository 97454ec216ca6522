"""An answer as Ollama's objects: one, or a line for each piece; the last says what it took, in nanoseconds."""

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ocg.gateway.chats.pieces import (
    Arguments,
    Begun,
    Busy,
    CallBegun,
    Ended,
    Piece,
    Text,
    Thought,
    Whole,
    arguments_of,
    calls,
)
from ocg.gateway.ollama.request import OllamaCall, OllamaFunction, OllamaMessage
from ocg.protocol.messages import ToolUse
from ocg.protocol.struct import Struct


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all lines have; counts and durations only the last."""

    model: str
    created_at: str
    done: bool
    done_reason: Literal["stop", "length", "load"] | None = None
    total_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class ChatLine(Line, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a chat."""

    message: OllamaMessage


class GenerateLine(Line, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a completion."""

    response: str
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a line adds."""

    text: str = ""
    thought: str = ""
    calls: tuple[OllamaCall, ...] = ()


Shape = Callable[[Said, dict[str, Any]], Line]


def chat_line(said: Said, head: dict[str, Any]) -> Line:
    """Put it into a line of a chat."""
    message = OllamaMessage(
        role="assistant", content=said.text, thinking=said.thought or None, tool_calls=said.calls or None
    )
    return ChatLine(message=message, **head)


def generate_line(said: Said, head: dict[str, Any]) -> Line:
    """Put it into a line of a completion."""
    return GenerateLine(response=said.text, thinking=said.thought, **head)


class Lines:
    """Writes one answer, and keeps its time: up to its first piece a prompt is read, and a model loaded if need be."""

    def __init__(self, model: str, shape: Shape, *, shows_thoughts: bool) -> None:
        self._model = model
        self._shape = shape
        self._shows_thoughts = shows_thoughts
        self._began_ns = time.monotonic_ns()
        self._first_ns: int | None = None
        self._called: list[CallBegun | Arguments] = []

    async def timed(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """Give the same pieces, and note when the first came that shows something."""
        async with aclosing(pieces):
            async for piece in pieces:
                if self._first_ns is None and not isinstance(piece, Begun | Busy):
                    self._first_ns = time.monotonic_ns()
                yield piece

    def of(self, piece: Piece | None) -> Iterator[Line]:
        """Write what a piece adds; calls are told whole, before the end. Silence is a line that adds nothing."""
        match piece:
            case Text():
                yield self._line(Said(piece.text))
            case Thought() if self._shows_thoughts:
                yield self._line(Said(thought=piece.text))
            case CallBegun() | Arguments():
                self._called.append(piece)
            case Ended():
                if self._called:
                    yield self._line(Said(calls=_calls(calls(self._called))))
                yield self._end(Said(), piece)
            case None | Busy():
                yield self._line(Said())

    def whole(self, answer: Whole) -> Line:
        """Write a whole answer."""
        thought = answer.thought if self._shows_thoughts else ""
        return self._end(Said(answer.text, thought, _calls(answer.calls)), answer.ended)

    def nothing(self) -> Line:
        """Answer who has nothing to say, and only wants the model to be loaded or let go."""
        return self._line(Said(), done=True, done_reason="load")

    def _end(self, said: Said, ended: Ended) -> Line:
        now_ns = time.monotonic_ns()
        first_ns = self._first_ns or now_ns
        return self._line(
            said,
            done=True,
            done_reason="length" if ended.finish == "length" else "stop",
            total_duration=now_ns - self._began_ns,
            prompt_eval_count=ended.usage.prompt_tokens,
            prompt_eval_duration=first_ns - self._began_ns,
            eval_count=ended.usage.completion_tokens,
            eval_duration=now_ns - first_ns,
        )

    def _line(self, said: Said, *, done: bool = False, **end: Any) -> Line:
        return self._shape(said, {"model": self._model, "created_at": _now(), "done": done, **end})


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _calls(called: Sequence[ToolUse]) -> tuple[OllamaCall, ...]:
    return tuple(_call(one, index) for index, one in enumerate(called))


def _call(call: ToolUse, index: int) -> OllamaCall:
    function = OllamaFunction(name=call.name, arguments=arguments_of(call.arguments), index=index)
    return OllamaCall(id=call.id, function=function)

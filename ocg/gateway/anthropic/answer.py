"""An answer as the Messages API's objects: a message, and a stream's events."""

import uuid
from collections.abc import Iterator
from typing import Literal

import msgspec

from ocg.gateway.anthropic.request import TextBlock, ThinkingBlock, ToolUseBlock
from ocg.gateway.chats.pieces import Arguments, Begun, CallBegun, Ended, Piece, Text, Thought, Whole, arguments_of
from ocg.protocol import messages, sse, wire
from ocg.protocol.events import Finish
from ocg.protocol.struct import Struct

StopReason = Literal["end_turn", "max_tokens", "tool_use"]
_REASONS: dict[Finish, StopReason] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


Block = TextBlock | ThinkingBlock | ToolUseBlock


class AnthropicUsage(Struct, frozen=True, kw_only=True):
    """What it took; `input_tokens` are those that no cache had."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @classmethod
    def of(cls, usage: messages.Usage) -> "AnthropicUsage":
        """From ours."""
        return cls(
            input_tokens=usage.prompt_tokens - usage.cached_tokens,
            output_tokens=usage.completion_tokens,
            cache_read_input_tokens=usage.cached_tokens,
        )


class AnthropicMessage(Struct, frozen=True, kw_only=True):
    """The answer, whole; or what a stream begins with."""

    id: str
    model: str
    content: tuple[Block, ...] = ()
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: AnthropicUsage = AnthropicUsage()
    role: Literal["assistant"] = "assistant"
    type: Literal["message"] = "message"


class TextBlockDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="text_delta"):
    """More text."""

    text: str


class ThinkingBlockDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="thinking_delta"):
    """More thoughts."""

    thinking: str


class InputBlockDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_json_delta"):
    """More of the JSON text of a call's input."""

    partial_json: str


class End(Struct, frozen=True, kw_only=True):
    """Why a message ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None


class MessageStart(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_start"):
    """The first event."""

    message: AnthropicMessage


class BlockStart(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_start"):
    """A block begins."""

    index: int
    content_block: Block


class BlockDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: TextBlockDelta | ThinkingBlockDelta | InputBlockDelta


class BlockStop(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_stop"):
    """A block is whole."""

    index: int


class MessageDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_delta"):
    """Why it ended, and what it took."""

    delta: End
    usage: AnthropicUsage


class MessageStop(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_stop"):
    """The last event."""


class Ping(Struct, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    """It is still being worked at."""


Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping


def frame(event: Event) -> bytes:
    """Write an event as Anthropic does: named."""
    name = str(type(event).__struct_config__.tag)
    return f"event: {name}\n".encode() + sse.frame(wire.encode(event))


def message(answer: Whole, model: str, *, shows_thoughts: bool) -> AnthropicMessage:
    """Put a whole answer into one object."""
    content: list[Block] = []
    if answer.thought and shows_thoughts:
        content.append(ThinkingBlock(thinking=answer.thought))
    if answer.text:
        content.append(TextBlock(text=answer.text))
    content += [ToolUseBlock(id=one.id, name=one.name, input=arguments_of(one.arguments)) for one in answer.calls]
    return AnthropicMessage(
        id=_id(answer.begun),
        model=model,
        content=tuple(content),
        stop_reason=_REASONS[answer.ended.finish],
        usage=AnthropicUsage.of(answer.ended.usage),
    )


# What tells a message's blocks apart: a call's index, or a block's kind.
_Key = int | type[Block]
_Delta = TextBlockDelta | ThinkingBlockDelta | InputBlockDelta


class Events:
    """Writes one stream: its blocks come one after another, as Anthropic's clients expect.

    A call stays open until its arguments are whole: what else comes before that waits, to the end if it has to.
    """

    def __init__(self, model: str, *, shows_thoughts: bool) -> None:
        self._model = model
        self._shows_thoughts = shows_thoughts
        self._index = -1
        self._open: _Key | None = None
        self._arguments: list[str] = []
        self._waiting: dict[_Key, tuple[Block, list[_Delta]]] = {}

    def of(self, piece: Piece) -> Iterator[Event]:
        """Give what a piece adds."""
        match piece:
            case Begun():
                yield MessageStart(message=AnthropicMessage(id=_id(piece), model=self._model))
                yield Ping()
            case Text():
                yield from self._within(TextBlock(text=""), TextBlockDelta(text=piece.text))
            case Thought() if self._shows_thoughts:
                yield from self._within(ThinkingBlock(thinking=""), ThinkingBlockDelta(thinking=piece.text))
            case CallBegun():
                yield from self._begin(piece.index, ToolUseBlock(id=piece.id, name=piece.name, input={}))
            case Arguments():
                yield from self._more(piece.index, InputBlockDelta(partial_json=piece.text))
            case Ended():
                yield from self._rest()
                yield MessageDelta(delta=End(stop_reason=_REASONS[piece.finish]), usage=AnthropicUsage.of(piece.usage))
                yield MessageStop()

    def _within(self, block: TextBlock | ThinkingBlock, delta: _Delta) -> Iterator[Event]:
        kind = type(block)
        if self._open is not kind and kind not in self._waiting:
            yield from self._begin(kind, block)
        yield from self._more(kind, delta)

    def _begin(self, key: _Key, block: Block) -> Iterator[Event]:
        if self._waiting or (isinstance(self._open, int) and not _is_whole("".join(self._arguments))):
            self._waiting[key] = (block, [])
        else:
            yield from self._start(key, block)

    def _more(self, key: _Key, delta: _Delta) -> Iterator[Event]:
        if key == self._open:
            if isinstance(delta, InputBlockDelta):
                self._arguments.append(delta.partial_json)
            yield BlockDelta(index=self._index, delta=delta)
        elif key in self._waiting:  # else its call was whole, and nothing that counts can follow
            self._waiting[key][1].append(delta)

    def _start(self, key: _Key, block: Block) -> Iterator[Event]:
        yield from self._close()
        self._index, self._open, self._arguments = self._index + 1, key, []
        yield BlockStart(index=self._index, content_block=block)

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield BlockStop(index=self._index)

    def _rest(self) -> Iterator[Event]:
        for key, (block, deltas) in self._waiting.items():
            yield from self._start(key, block)
            for delta in deltas:
                yield BlockDelta(index=self._index, delta=delta)
        yield from self._close()


def _is_whole(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return True


def _id(begun: Begun) -> str:
    return f"msg_{begun.id or uuid.uuid4().hex}"

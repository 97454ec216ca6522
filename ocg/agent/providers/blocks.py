"""A stream of Anthropic's Messages API, put together: blocks of text, thinking and tool calls."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.agent.providers.base import Piece, Reply
from ocg.agent.providers.messages import Signed
from ocg.agent.providers.refusal import Hide, Passing, RefusedError, from_stream
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.thinking import Reasoning

_MAX_REPLY_CHARS = 1 << 20
_MAX_EVENTS = 100_000
_MAX_BLOCKS = 256
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Begun(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""


class _Delta(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Begun | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


@dataclass(slots=True)
class _Block:
    type: str
    id: str = ""
    name: str = ""
    signature: str = ""
    data: str = ""
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def as_it_came(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": self.type}
        match self.type:
            case "text":
                made["text"] = self.text
            case "thinking":
                made |= {"thinking": self.text, "signature": self.signature}
            case "redacted_thinking":
                made["data"] = self.data
        return made


@dataclass(slots=True)
class Blocks:
    """See Assembling."""

    provider: str
    model: str
    hide: Hide = str
    is_over: bool = False
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _thoughts: list[str] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    _stop_reason: str = ""
    _events: int = 0
    _chars: int = 0

    def take(self, event: bytes) -> Iterable[Piece]:
        """Take an event; give what it adds. Raises when it is no event, an error, or one too many."""
        try:
            found = msgspec.json.decode(event, type=_Event)
        except msgspec.DecodeError as error:
            raise self._broken(f"sent what is no event: {error}") from None
        self._events += 1
        pieces = self._taken(found)
        if self._chars > _MAX_REPLY_CHARS or self._events > _MAX_EVENTS:
            raise self._broken("does not come to an end with its answer")
        return pieces

    def _taken(self, event: _Event) -> list[Piece]:
        match event.type:
            case "error":
                raise from_stream(self.provider, event.error, self.hide)
            case "message_start" if event.message:
                self._count(event.message.usage)
            case "content_block_start" if event.content_block:
                return self._begin(event.index, event.content_block)
            case "content_block_delta" if event.delta:
                return self._add(event.index, event.delta)
            case "message_delta":
                self._count(event.usage)
                self._stop_reason = (event.delta.stop_reason if event.delta else None) or self._stop_reason
            case "message_stop":
                self.is_over = True
        return []  # a ping, or what a later version of the API sends beside

    def _count(self, usage: _Usage | None) -> None:
        """Keep the newest of each count: they only grow."""
        for name in _Usage.__struct_fields__ if usage else ():
            if (count := getattr(usage, name)) is not None:
                self._counts[name] = count

    def _begin(self, index: int, begun: _Begun) -> list[Piece]:
        if len(self._blocks) >= _MAX_BLOCKS:
            raise self._broken(f"answered with more than {_MAX_BLOCKS} blocks")
        self._blocks[index] = _Block(begun.type, begun.id, begun.name, data=begun.data)
        self._chars += len(begun.data)
        return self._add(index, _Delta(text=begun.text, thinking=begun.thinking, signature=begun.signature))

    def _add(self, index: int, delta: _Delta) -> list[Piece]:
        block = self._blocks.get(index)
        if block is None:
            raise self._broken("went on with a block that it had not begun")
        added = {"text": delta.text, "thinking": delta.thinking, "tool_use": delta.partial_json}.get(block.type, "")
        block.signature += delta.signature
        block.texts.append(added)
        self._chars += len(added) + len(delta.signature)
        if not added or block.type == "tool_use":
            return []
        return [self._thought(block, added) if block.type == "thinking" else added]

    def _thought(self, block: _Block, added: str) -> Reasoning:
        """Keep what is shown of the thinking, a paragraph a block."""
        gap = "\n\n" if self._thoughts and block.text == added else ""
        self._thoughts.append(gap + added)
        return Reasoning(gap + added)

    def end(self) -> Iterator[Piece]:
        """Give the whole. Raises PROVIDER when the stream ended in the middle, or the model refuses."""
        if not (self._events or self.is_over):
            raise Passing(self._broken("answered with nothing"))
        if not (self.is_over or self._stop_reason):
            raise Passing(self._broken("ended its answer in the middle"))
        if self._stop_reason == "refusal":
            raise RefusedError(f"{self.provider} refused to answer this", "ask for it in another way")
        yield self._reply()

    def _reply(self) -> Reply:
        blocks = [block for _, block in sorted(self._blocks.items())]
        calls = tuple(
            ToolUse(id=one.id, name=one.name, arguments=one.text or "{}") for one in blocks if one.type == "tool_use"
        )
        thoughts = [one for one in blocks if one.type in _THOUGHTS]
        kept = [
            one for one in blocks if one.type in {*_THOUGHTS, "tool_use"} or (one.type == "text" and one.text.strip())
        ]
        signed = Signed(self.model, [one.as_it_came() for one in kept])
        return Reply(
            "".join(one.text for one in blocks if one.type == "text"),
            calls,
            self._usage(),
            reasoning="".join(self._thoughts),
            opaque=msgspec.json.encode(signed).decode() if calls and thoughts else "",
            is_cut=self._stop_reason in {"max_tokens", "model_context_window_exceeded"},
        )

    def _usage(self) -> Usage:
        """Return the usage; `input_tokens` leaves out what was read from or written to the cache."""
        read, written = (self._counts.get(f"cache_{one}_input_tokens", 0) for one in ("read", "creation"))
        return Usage(
            prompt_tokens=self._counts.get("input_tokens", 0) + read + written,
            completion_tokens=self._counts.get("output_tokens", 0),
            cached_tokens=read,
        )

    def _broken(self, why: str) -> OcgError:
        return OcgError(Code.PROVIDER, f"{self.provider} {why}", "ask again; if it stays so, see the provider's status")

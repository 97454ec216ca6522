"""A stream of OpenAI's chunks, read as whoever sends it writes it: text, thoughts, and calls of tools in fragments."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.errors import Code, OcgError
from ocg.protocol.messages import Usage
from ocg.protocol.thinking import Reasoning, ThinkSplitter

# Why a stream ended, where that is no end of the answer: Zhipu, DeepSeek and OpenRouter have words of their own.
_BROKEN = frozenset({"network_error", "insufficient_system_resource", "error"})
_FILTERED = frozenset({"content_filter", "sensitive"})
_MAX_REPLY_CHARS = 1 << 20
_MAX_CHUNKS = 100_000
_MAX_CALLS = 64
_MAX_ID_CHARS = 128
# Where reasoning stood that came in tags within the text.
TAGGED = "content"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: Any = None


class _Part(msgspec.Struct):
    text: str | None = None
    thinking: "list[_Part] | None" = None


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    # DeepSeek's and Moonshot's names for the same.
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    # OpenRouter's: US dollars.
    cost: float | None = None

    def ours(self) -> Usage:
        details = self.prompt_tokens_details or _Details()
        return Usage(
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=details.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens or 0,
            cost=self.cost or 0.0,
        )


class _Chunk(msgspec.Struct):
    id: Any = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class CallPart:
    """More of a call; `number` counts an answer's calls from 0, and the first part has the name."""

    number: int
    id: str
    name: str
    arguments: str
    extra: Any = None


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    id: str


Found = str | Reasoning | CallPart


@dataclass(slots=True)
class ChunkReader:
    """Reads one answer of `who` until it `is_over`; `refused` says what to raise for an error within the stream.

    `thoughts_field` is where its reasoning stands.
    """

    who: str
    refused: Callable[[Any], Exception]
    id: str = ""
    usage: Usage = field(default_factory=Usage)
    thoughts_field: str = ""
    is_over: bool = False
    _splitter: ThinkSplitter = field(default_factory=ThinkSplitter)
    _calls: dict[int, _Call] = field(default_factory=dict)
    _finish: str = ""
    _has_begun: bool = False
    _chunks: int = 0
    _chars: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the limit of tokens ended it."""
        return self._finish == "length"

    @property
    def is_filtered(self) -> bool:
        """Whether it was held back."""
        return self._finish in _FILTERED

    def take(self, event: bytes) -> list[Found]:
        """Take an event; give what it adds. Raises PROVIDER when it is no chunk or one too many, or what it says."""
        if event == b"[DONE]":
            self.is_over = True
            return []
        try:
            chunk = msgspec.json.decode(event, type=_Chunk)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._broken(f"sent what is no chunk: {error}") from None
        if chunk.error:
            raise self.refused(chunk.error)
        self.id = self.id or str(chunk.id or "")[:_MAX_ID_CHARS]
        if chunk.usage is not None:
            self.usage = chunk.usage.ours()
        found: list[Found] = []
        for choice in (chunk.choices or ())[:1]:
            self._has_begun = True
            found += self._added(choice.delta or _Delta())
            self._finish = choice.finish_reason or self._finish
        self._chunks += 1
        if self._chars > _MAX_REPLY_CHARS or self._chunks > _MAX_CHUNKS:
            raise self._broken("does not come to an end with its answer")
        return found

    def end(self) -> Iterator[str | Reasoning]:
        """Give what was held back. Raises PROVIDER when the stream ended in the middle, or the answer `is_filtered`."""
        if not self._has_begun:
            raise self._broken("answered with nothing")
        if not (self.is_over or self._finish):
            raise self._broken("ended its answer in the middle")
        if self._finish in _BROKEN:
            raise self._broken(f"broke off with {self._finish!r}")
        if self.is_filtered:
            raise OcgError(
                Code.PROVIDER, f"{self.who} held its answer back: content filter", "ask for it in another way"
            )
        return self._splitter.end()

    def _added(self, delta: _Delta) -> Iterator[Found]:
        for name in ("reasoning_content", "reasoning"):
            if thought := getattr(delta, name):
                self.thoughts_field = name
                self._chars += len(thought)
                yield Reasoning(thought)
                break  # some servers send both, with the same text
        for piece in _parts(delta.content):
            self._chars += len(piece.text if isinstance(piece, Reasoning) else piece)
            yield from [piece] if isinstance(piece, Reasoning) else self._split(piece)
        for part in delta.tool_calls or ():
            yield self._call(part)

    def _split(self, text: str) -> Iterator[str | Reasoning]:
        for piece in self._splitter.take(text):
            if isinstance(piece, Reasoning):
                self.thoughts_field = TAGGED
            yield piece

    def _call(self, part: _CallDelta) -> CallPart:
        at = self._place(part)
        function = part.function or _Function()
        self._chars += len(function.arguments or "")
        if (begun := self._calls.get(at)) is None:
            if len(self._calls) == _MAX_CALLS:
                raise self._broken(f"called more than {_MAX_CALLS} tools at once")
            begun = self._calls[at] = _Call(len(self._calls), part.id or f"call_{uuid.uuid4().hex}")
            self._chars += len(begun.id) + len(function.name or "")
        return CallPart(begun.number, begun.id, function.name or "", function.arguments or "", part.extra_content)

    def _place(self, part: _CallDelta) -> int:
        """Say which call a fragment belongs to; a server that sends no index begins a new call with each new id."""
        if part.index is not None:
            return part.index
        last = max(self._calls, default=-1)
        is_more = last >= 0 and part.id in {None, "", self._calls[last].id}
        return last if is_more else last + 1

    def _broken(self, why: str) -> OcgError:
        return OcgError(Code.PROVIDER, f"{self.who} {why}", "ask again; if it stays so, use another model")


def _parts(content: str | list[_Part] | None) -> Iterator[str | Reasoning]:
    """Give what a chunk's content says; Mistral's reasoning models send parts instead of a text."""
    if isinstance(content, str):
        yield content
    elif content is not None:
        for part in content:
            if thought := "".join(one.text or "" for one in part.thinking or ()):
                yield Reasoning(thought)
            if part.text:
                yield part.text

"""An OpenAI-compatible stream, put together: text, reasoning, and tool calls that come in fragments."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.agent.providers.base import Piece, Reasoning, Reply
from ocg.agent.providers.refusal import Hide, Passing, RefusedError, from_stream
from ocg.agent.providers.thinking import ThinkSplitter
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse, Usage

# Why a stream ended, where that is no end of the answer: Zhipu, DeepSeek and OpenRouter have words of their own.
_BROKEN = frozenset({"network_error", "insufficient_system_resource", "error"})
_FILTERED = frozenset({"content_filter", "sensitive"})
_MAX_REPLY_CHARS = 1 << 20
_MAX_CHUNKS = 100_000
_MAX_CALLS = 64


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
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


class Kept(msgspec.Struct, omit_defaults=True):
    """What a provider wants back with its own tool calls: reasoning under the name it gave it, and signatures."""

    provider: str
    field: str = ""
    reasoning: str = ""
    extras: list[Any] = []


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: Any = None


@dataclass(slots=True)
class Assembly:
    """See Assembling."""

    provider: str
    hide: Hide = str
    is_over: bool = False
    _splitter: ThinkSplitter = field(default_factory=ThinkSplitter)
    _texts: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _thoughts_field: str = ""
    _calls: dict[int, _Call] = field(default_factory=dict)
    _usage: Usage = field(default_factory=Usage)
    _finish: str = ""
    _has_begun: bool = False
    _chunks: int = 0
    _chars: int = 0

    def take(self, event: bytes) -> Iterable[Piece]:
        """Take an event; give what it adds. Raises when it is no chunk, an error, or one too many."""
        if event == b"[DONE]":
            self.is_over = True
            return ()
        try:
            chunk = msgspec.json.decode(event, type=_Chunk)
        except msgspec.DecodeError as error:
            raise self._broken(f"sent what is no chunk: {error}") from None
        if chunk.error:
            raise from_stream(self.provider, chunk.error, self.hide)
        if chunk.usage is not None:
            self._usage = chunk.usage.ours()
        pieces: list[Piece] = []
        for choice in (chunk.choices or ())[:1]:
            pieces += self._take_delta(choice.delta or _Delta())
            self._finish = choice.finish_reason or self._finish
        return pieces

    def _take_delta(self, delta: _Delta) -> Iterator[Piece]:
        self._has_begun = True
        self._chunks += 1
        for part in delta.tool_calls or ():
            self._take_call(part)
        for name in ("reasoning_content", "reasoning"):
            if thought := getattr(delta, name):
                self._thoughts_field = name
                yield from self._seen([Reasoning(thought)])
                break  # some servers send both, with the same text
        for piece in _parts(delta.content):
            yield from self._seen([piece] if isinstance(piece, Reasoning) else self._split(piece))
        if self._chars > _MAX_REPLY_CHARS or self._chunks > _MAX_CHUNKS:
            raise self._broken("does not come to an end with its answer")

    def _split(self, text: str) -> Iterator[str | Reasoning]:
        for piece in self._splitter.take(text):
            if isinstance(piece, Reasoning):
                self._thoughts_field = TAGGED
            yield piece

    def _seen(self, pieces: Iterable[str | Reasoning]) -> Iterator[str | Reasoning]:
        for piece in pieces:
            text, kept = (piece.text, self._thoughts) if isinstance(piece, Reasoning) else (piece, self._texts)
            self._chars += len(text)
            kept.append(text)
            yield piece

    def _take_call(self, part: _CallDelta) -> None:
        """Add a fragment to its call; a server that sends no index begins a new call with each new id."""
        at = part.index
        if at is None:
            last = max(self._calls, default=-1)
            is_more = last >= 0 and part.id in {None, "", self._calls[last].id}
            at = last if is_more else last + 1
        if at not in self._calls and len(self._calls) >= _MAX_CALLS:
            raise self._broken(f"called more than {_MAX_CALLS} tools at once")
        call = self._calls.setdefault(at, _Call())
        call.id = call.id or part.id or ""
        call.extra = part.extra_content or call.extra
        if part.function is not None:
            call.name = call.name or part.function.name or ""
            call.arguments.append(part.function.arguments or "")
            self._chars += len(call.arguments[-1])

    def end(self) -> Iterable[Piece]:
        """Give what was held back, and the whole. Raises PROVIDER when the stream ended in the middle."""
        if not (self.is_over or self._has_begun):
            raise Passing(self._broken("answered with nothing"))
        if not (self.is_over or self._finish):
            raise Passing(self._broken("ended its answer in the middle"))
        if self._finish in _BROKEN:
            raise Passing(self._broken(f"broke off with {self._finish!r}"))
        if self._finish in _FILTERED:
            raise RefusedError(f"{self.provider} held its answer back: content filter", "ask for it in another way")
        yield from self._seen(self._splitter.end())
        yield self._reply()

    def _reply(self) -> Reply:
        found = [call for _, call in sorted(self._calls.items())]
        calls = tuple(
            ToolUse(id=call.id or f"call_{uuid.uuid4().hex}", name=call.name, arguments="".join(call.arguments) or "{}")
            for call in found
        )
        reasoning = "".join(self._thoughts)
        kept = Kept(self.provider)
        if self._thoughts_field:
            kept.field, kept.reasoning = self._thoughts_field, reasoning
        if any(call.extra for call in found):
            kept.extras = [call.extra for call in found]
        has_kept = calls and (kept.field or kept.extras)
        return Reply(
            "".join(self._texts),
            calls,
            self._usage,
            reasoning=reasoning,
            opaque=msgspec.json.encode(kept).decode() if has_kept else "",
            is_cut=self._finish == "length",
        )

    def _broken(self, why: str) -> OcgError:
        return OcgError(Code.PROVIDER, f"{self.provider} {why}", "ask again; if it stays so, see the provider's status")


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

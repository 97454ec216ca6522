"""An OpenAI-compatible stream, put together: text, and tool calls that come in fragments."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.agent.providers.base import Reply
from ocg.agent.providers.refusal import said
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse, Usage

_MAX_REPLY_CHARS = 1 << 20
_MAX_CHUNKS = 100_000
_MAX_CALLS = 64


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Assembly:
    """Takes a stream's events one by one. `has_begun` is true from the first one that belongs to an answer."""

    provider: str
    text: str = ""
    has_begun: bool = False
    is_done: bool = False
    _calls: dict[int, _Call] = field(default_factory=dict)
    _usage: Usage = field(default_factory=Usage)
    _chunks: int = 0

    def take(self, data: bytes) -> str:
        """Take an event; return the text it adds. Raises PROVIDER when it is no chunk, an error, or one too many."""
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except msgspec.DecodeError as error:
            raise self._broken(f"sent what is no chunk: {error}") from None
        if chunk.error:
            raise self._broken(f"said: {said(chunk.error)}")
        if chunk.usage is not None:
            self._usage = Usage(
                prompt_tokens=chunk.usage.prompt_tokens or 0, completion_tokens=chunk.usage.completion_tokens or 0
            )
        added = ""
        for choice in (chunk.choices or ())[:1]:
            added = self._take_delta(choice.delta or _Delta())
            self.is_done = self.is_done or choice.finish_reason is not None
        return added

    def _take_delta(self, delta: _Delta) -> str:
        self.has_begun = True
        self._chunks += 1
        for part in delta.tool_calls or ():
            self._take_call(part)
        added = delta.content or ""
        self.text += added
        size = len(self.text) + sum(len(call.arguments) for call in self._calls.values())
        if size > _MAX_REPLY_CHARS or self._chunks > _MAX_CHUNKS:
            raise self._broken("does not come to an end with its answer")
        return added

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
        if part.function is not None:
            call.name = call.name or part.function.name or ""
            call.arguments += part.function.arguments or ""

    def reply(self) -> Reply:
        """Return the whole. Raises PROVIDER when the stream ended in the middle."""
        if not self.is_done:
            raise self._broken("ended its answer in the middle")
        calls = tuple(
            ToolUse(id=call.id or f"call_{uuid.uuid4().hex}", name=call.name, arguments=call.arguments or "{}")
            for _, call in sorted(self._calls.items())
        )
        return Reply(self.text, calls, self._usage)

    def _broken(self, why: str) -> OcgError:
        return OcgError(Code.PROVIDER, f"{self.provider} {why}", "ask again; if it stays so, see the provider's status")

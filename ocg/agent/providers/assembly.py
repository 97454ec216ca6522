"""An OpenAI-compatible stream, put together: text, and tool calls that come in fragments."""

import uuid
from dataclasses import dataclass, field

import msgspec

from ocg.agent.providers.base import Reply
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse, Usage

_MAX_REPLY_CHARS = 4 << 20
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


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Usage | None = None
    error: msgspec.Raw | None = None


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Assembly:
    """Takes a stream's events one by one."""

    provider: str
    text: str = ""
    is_done: bool = False
    _calls: dict[int, _Call] = field(default_factory=dict)
    _usage: Usage = field(default_factory=Usage)

    def take(self, data: bytes) -> str:
        """Take an event; return the text it adds. Raises PROVIDER when it is no chunk, or an error."""
        if data == b"[DONE]":
            self.is_done = True
            return ""
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except msgspec.DecodeError as error:
            raise self._broken(f"sent what is no chunk: {error}") from None
        if chunk.error is not None:
            raise self._broken(f"said: {bytes(chunk.error)[:300].decode('utf-8', 'replace')}")
        self._usage = chunk.usage or self._usage
        added = ""
        for choice in chunk.choices[:1]:
            added = self._take_delta(choice.delta or _Delta())
            self.is_done = self.is_done or choice.finish_reason is not None
        return added

    def _take_delta(self, delta: _Delta) -> str:
        for part in delta.tool_calls or ():
            self._take_call(part)
        added = delta.content or ""
        self.text += added
        if len(self.text) + sum(len(call.arguments) for call in self._calls.values()) > _MAX_REPLY_CHARS:
            raise self._broken("sent more than 4 MiB")
        return added

    def _take_call(self, part: _CallDelta) -> None:
        """Add a fragment to its call; a server that sends no index begins a new call with each id."""
        at = part.index
        if at is None:
            at = len(self._calls) if part.id or not self._calls else max(self._calls)
        if at not in self._calls and len(self._calls) >= _MAX_CALLS:
            raise self._broken(f"called more than {_MAX_CALLS} tools at once")
        call = self._calls.setdefault(at, _Call())
        call.id = part.id or call.id
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

"""An OpenAI-compatible stream, put together: text, reasoning, and tool calls that come in fragments."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocg.agent.providers.base import Piece, Reply
from ocg.agent.providers.refusal import Hide, Passing, RefusedError, from_stream
from ocg.errors import OcgError
from ocg.protocol.messages import ToolUse
from ocg.protocol.reading import CallPart, ChunkReader, Found
from ocg.protocol.thinking import Reasoning


class Kept(msgspec.Struct, omit_defaults=True):
    """What a provider wants back with its own tool calls: reasoning under the name it gave it, and signatures."""

    provider: str
    field: str = ""
    reasoning: str = ""
    extras: list[Any] = []


@dataclass(slots=True)
class _Call:
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: Any = None


class Assembly:
    """See Assembling."""

    def __init__(self, provider: str, hide: Hide = str) -> None:
        self._provider = provider
        self._reader = ChunkReader(provider, lambda error: from_stream(provider, error, hide))
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[_Call] = []

    @property
    def is_over(self) -> bool:
        """See Assembling."""
        return self._reader.is_over

    def take(self, event: bytes) -> Iterable[Piece]:
        """Take an event; give what it adds. Raises when it is no chunk, an error, or one too many."""
        return [piece for found in self._reader.take(event) for piece in self._keep(found)]

    def end(self) -> Iterator[Piece]:
        """Give what was held back, and the whole. Raises PROVIDER when the stream ended in the middle."""
        try:
            rest = self._reader.end()
        except OcgError as error:
            if self._reader.is_filtered:
                raise RefusedError(error.message, error.hint) from None
            raise Passing(error) from None
        for found in rest:
            yield from self._keep(found)
        yield self._reply()

    def _keep(self, found: Found) -> Iterator[str | Reasoning]:
        """Keep a part of the answer; give what of it is shown."""
        match found:
            case CallPart():
                self._add(found)
            case Reasoning():
                self._thoughts.append(found.text)
                yield found
            case str():
                self._texts.append(found)
                yield found

    def _add(self, part: CallPart) -> None:
        if part.number == len(self._calls):
            self._calls.append(_Call(part.id))
        call = self._calls[part.number]
        call.name = call.name or part.name
        call.extra = part.extra or call.extra
        call.arguments.append(part.arguments)

    def _reply(self) -> Reply:
        calls = tuple(
            ToolUse(id=call.id, name=call.name, arguments="".join(call.arguments) or "{}") for call in self._calls
        )
        kept = Kept(self._provider)
        reasoning = "".join(self._thoughts)
        if self._reader.thoughts_field:
            kept.field, kept.reasoning = self._reader.thoughts_field, reasoning
        if any(call.extra for call in self._calls):
            kept.extras = [call.extra for call in self._calls]
        has_kept = calls and (kept.field or kept.extras)
        return Reply(
            "".join(self._texts),
            calls,
            self._reader.usage,
            reasoning=reasoning,
            opaque=msgspec.json.encode(kept).decode() if has_kept else "",
            is_cut=self._reader.is_cut,
        )

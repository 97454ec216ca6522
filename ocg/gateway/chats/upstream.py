"""A model answers a chat itself, by OpenAI's API: the local one, or a provider's through the agent."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from ocg.errors import OcgError
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.upstream import Agent, Embedding
from ocg.protocol import sse, wire
from ocg.protocol.events import Finish
from ocg.protocol.openai import ChatRequest, StreamOptions
from ocg.protocol.reading import CallPart, ChunkReader, Found
from ocg.protocol.thinking import Reasoning

# A model may have to be loaded first, and a long prompt read.
SILENCE_S = 600.0


async def pieces(service: Agent | Embedding, path: str, chat: ChatRequest) -> AsyncGenerator[Piece, None]:
    """Ask a service's chat completions for a stream and give its pieces. Raises what the service answers."""
    asked = msgspec.structs.replace(chat, stream=True, stream_options=StreamOptions(include_usage=True), user="")
    reading = _Reading(chat.model)
    async with service.send("POST", path, data=wire.encode(asked), silence_s=SILENCE_S) as response:
        async with aclosing(sse.data_of(response.content.iter_any())) as events:
            async for data in events:
                for piece in reading.of(data):
                    yield piece
                if reading.is_over:
                    break
        for piece in reading.end():
            yield piece


class _Reading:
    """Reads one stream of chunks."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._reader = ChunkReader("the model", _refused)
        self._has_begun = False
        self._calls = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read."""
        return self._reader.is_over

    def of(self, data: bytes) -> Iterator[Piece]:
        """Give what a chunk adds. Raises what it says went wrong."""
        found = self._reader.take(data)
        if not self._has_begun:
            self._has_begun = True
            yield Begun(self._reader.id, self._model)
        for one in found:
            yield from self._told(one)
        if not found:
            yield Busy()

    def end(self) -> Iterator[Piece]:
        """Give what was held back, and the end. Raises PROVIDER when the stream broke off."""
        for one in self._reader.end():
            yield from self._told(one)
        yield Ended(self._finish(), self._reader.usage)

    def _finish(self) -> Finish:
        if self._reader.is_cut:
            return "length"
        return "tool_calls" if self._calls else "stop"

    def _told(self, found: Found) -> Iterator[Piece]:
        match found:
            case str():
                yield Text(found)
            case Reasoning():
                yield Thought(found.text)
            case CallPart():
                if found.number == self._calls:
                    self._calls += 1
                    yield CallBegun(found.number, found.id, found.name)
                if found.arguments:
                    yield Arguments(found.number, found.arguments)


def _refused(error: Any) -> OcgError:
    return wire.read_error(502, wire.encode({"error": error}))

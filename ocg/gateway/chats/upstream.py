"""A model answers a chat itself, by OpenAI's API: the local one, or a provider's through the agent."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.upstream import Agent, Embedding
from ocg.protocol import sse, wire
from ocg.protocol.events import Finish
from ocg.protocol.messages import Usage
from ocg.protocol.openai import ChatRequest, StreamOptions

# A model may have to be loaded first, and a long prompt read.
SILENCE_S = 600.0
_DONE = b"[DONE]"
_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


_NONE = msgspec.Raw(b"null")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _NONE


async def pieces(service: Agent | Embedding, path: str, chat: ChatRequest) -> AsyncGenerator[Piece, None]:
    """Ask a service's chat completions for a stream and give its pieces. Raises what the service answers."""
    asked = msgspec.structs.replace(chat, stream=True, stream_options=StreamOptions(include_usage=True), user="")
    reading = _Reading(chat.model)
    async with service.send("POST", path, data=wire.encode(asked), silence_s=SILENCE_S) as response:
        async with aclosing(sse.data_of(response.content.iter_any())) as events:
            async for data in events:
                if data == _DONE:
                    break
                for piece in reading.of(data):
                    yield piece
        yield reading.end()


class _Reading:
    """Reads one stream of chunks."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._has_begun = False
        self._finish: Finish | None = None
        self._usage = Usage()
        self._calls: set[int] = set()

    def of(self, data: bytes) -> Iterator[Piece]:
        """Give what a chunk adds. Raises what it says went wrong."""
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except msgspec.DecodeError:
            raise _broken("said something else than a chunk") from None
        if chunk.error != _NONE:
            raise wire.read_error(502, data)
        if not self._has_begun:
            self._has_begun = True
            yield Begun(chunk.id or "", self._model)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            yield from self._delta(choice.delta)
            if choice.finish_reason:
                self._finish = _finish(choice.finish_reason)

    def _delta(self, delta: _Delta) -> Iterator[Piece]:
        if thought := delta.reasoning_content or delta.reasoning:
            yield Thought(thought)
        if delta.content:
            yield Text(delta.content)
        for call in delta.tool_calls or ():
            yield from self._call(call)
        if not (thought or delta.content or delta.tool_calls):
            yield Busy()

    def _call(self, call: _Call) -> Iterator[Piece]:
        if call.index not in self._calls:
            if call.index != len(self._calls):
                raise _broken("counts its tool calls wrongly")
            self._calls.add(call.index)
            yield CallBegun(call.index, call.id or f"call_{call.index}", call.function.name or "")
        if call.function.arguments:
            yield Arguments(call.index, call.function.arguments)

    def end(self) -> Ended:
        """Give the end. Raises PROVIDER when the stream broke off."""
        if self._finish is None:
            raise _broken("broke off in the middle of its answer")
        return Ended("tool_calls" if self._calls and self._finish == "stop" else self._finish, self._usage)


def _usage(found: _Usage) -> Usage:
    cached = found.prompt_tokens_details.cached_tokens if found.prompt_tokens_details else None
    return Usage(
        prompt_tokens=found.prompt_tokens, completion_tokens=found.completion_tokens, cached_tokens=cached or 0
    )


def _finish(reason: str) -> Finish:
    """Return why an answer ended; what only some providers know, such as a filter, is an end like any other."""
    return _FINISHES.get(reason, "stop")


def _broken(what: str) -> OcgError:
    return OcgError(Code.PROVIDER, f"the model {what}", "ask again, or use another model")

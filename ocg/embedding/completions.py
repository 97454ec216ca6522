"""POST /v1/chat/completions for the local model: OpenAI's shapes around a generation."""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from ocg.embedding.chat import ChatModel
from ocg.embedding.generator import Asked, Call, Finish, Piece
from ocg.embedding.request import LocalChat
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import openai, sse, wire
from ocg.protocol.messages import Usage


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


class Completions:
    """The endpoint."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat

    async def answer(self, request: Request) -> Response:
        """Answer whole or as a stream; a client that goes away ends its generation, whatever stage it is at."""
        chat = await answers.read(request, LocalChat)
        if chat.model and chat.model != self._chat.name:
            raise OcgError(
                Code.MODEL_UNKNOWN,
                f"no chat model {chat.model[:100]!r} is here",
                f"ask for {self._chat.name!r}",
                param="model",
            )
        asked = chat.asked()
        if not chat.stream:
            return answers.answer(await while_listening(request, self._whole(asked)))
        chunks = _Chunks(self._chat.name, wants_usage=chat.wants_usage)
        stream = self._stream(asked, chunks)
        # The first chunk is awaited here, so that what fails before it is an answer with a status of its own.
        first = await while_listening(request, _next(stream))
        return EventStream(_after(first, stream))

    async def _whole(self, asked: Asked) -> openai.ChatAnswer:
        text, calls, finish = [], [], Finish("stop", 0, 0)
        async with self._chat.generate(asked) as pieces:
            async for piece in pieces:
                match piece:
                    case str():
                        text.append(piece)
                    case Call():
                        calls.append(_tool_call(piece))
                    case Finish():
                        finish = piece
        said = "".join(text)
        message = openai.AnswerMessage(content=said or None, tool_calls=tuple(calls)) if calls else None
        choice = openai.Choice(message=message or openai.AnswerMessage(content=said), finish_reason=finish.reason)
        return openai.ChatAnswer(
            id=_new_id(), created=int(time.time()), model=self._chat.name, choices=(choice,), usage=_usage(finish)
        )

    async def _stream(self, asked: Asked, chunks: "_Chunks") -> AsyncGenerator[bytes, None]:
        async with self._chat.generate(asked) as pieces:
            first = await anext(pieces)
            yield chunks.begin()
            try:
                yield chunks.of(first)
                async for piece in pieces:
                    yield chunks.of(piece)
            except OcgError as error:  # the status has been sent, so it is said in the stream
                yield sse.frame(wire.error_body(error))
                return
        yield sse.frame(b"[DONE]")


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Writes the chunks of one answer."""

    model: str
    wants_usage: bool
    id: str = field(default_factory=_new_id)
    created: int = field(default_factory=lambda: int(time.time()))

    def begin(self) -> bytes:
        """Write the chunk that says who speaks."""
        return self._chunk(openai.ChunkChoice(delta=openai.Delta(role="assistant", content="")))

    def of(self, piece: Piece) -> bytes:
        """Write a piece of the answer, the usage behind the last if it is wanted."""
        match piece:
            case str():
                return self._chunk(openai.ChunkChoice(delta=openai.Delta(content=piece)))
            case Call():
                return self._chunk(openai.ChunkChoice(delta=openai.Delta(tool_calls=(_begun(piece),))))
            case Finish():
                end = self._chunk(openai.ChunkChoice(delta=openai.Delta(), finish_reason=piece.reason))
                return end + (self._chunk(usage=_usage(piece)) if self.wants_usage else b"")

    def _chunk(self, *choices: openai.ChunkChoice, usage: openai.TokenCount | None = None) -> bytes:
        made = openai.ChatChunk(id=self.id, created=self.created, model=self.model, choices=choices, usage=usage)
        return sse.frame(wire.encode(made))


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream)


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Give the first, then the rest, which is closed in every case."""
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()


def _tool_call(call: Call) -> openai.CalledTool:
    function = openai.FunctionCall(name=call.name, arguments=call.arguments)
    return openai.CalledTool(id=_call_id(), function=function, type="function")


def _begun(call: Call) -> openai.ToolCallDelta:
    """Write a call as a chunk has it: it comes as a whole."""
    function = openai.FunctionDelta(name=call.name, arguments=call.arguments)
    return openai.ToolCallDelta(index=0, id=_call_id(), type="function", function=function)


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _usage(finish: Finish) -> openai.TokenCount:
    return openai.TokenCount.of(Usage(prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens))

"""POST /v1/chat/completions for the local model: OpenAI's shapes around a generation."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from ocg.embedding.chat import ChatModel
from ocg.embedding.generator import Asked, Call, Finish, Piece
from ocg.embedding.request import LocalChat
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.relay import error_frame
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol.chunks import Chunks, choice, completion
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.openai import ChatAnswer


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
        chunks = Chunks(self._chat.name, wants_usage=chat.wants_usage)
        stream = self._stream(asked, chunks)
        # The first chunk is awaited here, so that what fails before it is an answer with a status of its own.
        first = await while_listening(request, _next(stream))
        return EventStream(_after(first, stream))

    async def _whole(self, asked: Asked) -> ChatAnswer:
        text, calls, finish = [], [], Finish("stop", 0, 0)
        async with self._chat.generate(asked) as pieces:
            async for piece in pieces:
                match piece:
                    case str():
                        text.append(piece)
                    case Call():
                        calls.append(_tool_use(piece))
                    case Finish():
                        finish = piece
        return completion(self._chat.name, [choice("".join(text), calls, finish.reason)], _usage(finish))

    async def _stream(self, asked: Asked, chunks: Chunks) -> AsyncGenerator[bytes, None]:
        async with self._chat.generate(asked) as pieces:
            first = await anext(pieces)
            yield chunks.role()
            try:
                yield _written(first, chunks)
                async for piece in pieces:
                    yield _written(piece, chunks)
            except OcgError as error:  # the status has been sent, so it is said in the stream
                yield error_frame(error)


def _written(piece: Piece, chunks: Chunks) -> bytes:
    """Write a piece of the answer; a call comes as a whole."""
    match piece:
        case str():
            return chunks.text(piece)
        case Call():
            return chunks.call(0, _tool_use(piece))
        case Finish():
            return chunks.finish(piece.reason) + chunks.end(_usage(piece))


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


def _tool_use(call: Call) -> ToolUse:
    return ToolUse(id=f"call_{uuid.uuid4().hex[:24]}", name=call.name, arguments=call.arguments)


def _usage(finish: Finish) -> Usage:
    return Usage(prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens)

"""POST /v1/chat/completions for the local model: OpenAI's shapes around a generation."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ocg.embedding.chat import ChatModel, sampling_of
from ocg.embedding.generator import Finish, Sampling
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.protocol import openai, sse, wire
from ocg.protocol.messages import Usage

T = TypeVar("T")


class Completions:
    """The endpoint."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat

    async def answer(self, request: Request) -> Response:
        """Answer whole or as a stream; a client that goes away ends its generation."""
        asked = await answers.read(request, openai.ChatRequest)
        if asked.model and asked.model != self._chat.name:
            raise OcgError(Code.MODEL_UNKNOWN, f"no chat model {asked.model!r} is here", f"ask for {self._chat.name!r}")
        sampling = sampling_of(
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
            stop=asked.stop,
        )
        if not asked.stream:
            return answers.answer(await self._whole(asked, sampling))
        stream = self._stream(asked, sampling)
        # The first piece is awaited here, so that what fails before it is an answer with a status of its own.
        first = await anext(stream)
        return StreamingResponse(_with(first, stream), media_type=sse.CONTENT_TYPE)

    def _messages(self, asked: openai.ChatRequest) -> list[dict[str, str]]:
        """Lay the messages out as templates know them, which have no `developer`."""
        roles = {"developer": "system"}
        return [{"role": roles.get(one.role, one.role), "content": one.text} for one in asked.messages]

    async def _whole(self, asked: openai.ChatRequest, sampling: Sampling) -> openai.ChatAnswer:
        text, finish = [], Finish("stop", 0, 0)
        async with self._chat.generate(self._messages(asked), sampling) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    finish = piece
                else:
                    text.append(piece)
        choice = openai.Choice(message=openai.AnswerMessage(content="".join(text)), finish_reason=finish.reason)
        return openai.ChatAnswer(
            id=_new_id(), created=int(time.time()), model=self._chat.name, choices=(choice,), usage=_usage(finish)
        )

    async def _stream(self, asked: openai.ChatRequest, sampling: Sampling) -> AsyncIterator[bytes]:
        answer_id, created, model = _new_id(), int(time.time()), self._chat.name

        def chunk(*choices: openai.ChunkChoice, usage: openai.TokenCount | None = None) -> bytes:
            made = openai.ChatChunk(id=answer_id, created=created, model=model, choices=choices, usage=usage)
            return sse.frame(wire.encode(made))

        async with self._chat.generate(self._messages(asked), sampling) as pieces:
            first = await anext(pieces)
            yield chunk(openai.ChunkChoice(delta=openai.Delta(role="assistant", content="")))
            async for piece in _with(first, pieces):
                if not isinstance(piece, Finish):
                    yield chunk(openai.ChunkChoice(delta=openai.Delta(content=piece)))
                    continue
                yield chunk(openai.ChunkChoice(delta=openai.Delta(), finish_reason=piece.reason))
                if asked.wants_usage:
                    yield chunk(usage=_usage(piece))
        yield sse.frame(b"[DONE]")


async def _with(first: T, rest: AsyncIterator[T]) -> AsyncIterator[T]:
    yield first
    async for one in rest:
        yield one


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _usage(finish: Finish) -> openai.TokenCount:
    return openai.TokenCount.of(Usage(prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens))

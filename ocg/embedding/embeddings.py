"""Texts to vectors over HTTP: OpenAI's endpoint, and the original's own."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ocg.embedding.encoder import Embedded, Encoder
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.stream import while_listening
from ocg.protocol import openai, wire
from ocg.protocol.messages import Text, Usage
from ocg.protocol.struct import Struct

_AT_ONCE = 64  # vectors written in one go, 2 ms; the event loop has other things to do
_ERRORS = (Code.CONTEXT_LENGTH, Code.BUSY)


class EmbedRequest(Struct, frozen=True):
    """POST /embed, the original's own shape."""

    text: Text


class EmbedAnswer(Struct, frozen=True):
    """Its answer."""

    embedding: list[float]
    dim: int
    model: str


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The endpoints."""

    encoder: Encoder

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        return (
            Endpoint(
                "POST", "/v1/embeddings", "Embed texts", self.embeddings, openai.EmbeddingAnswer,
                takes=openai.EmbeddingRequest, errors=(Code.MODEL_UNKNOWN, *_ERRORS),
            ),
            Endpoint("POST", "/embed", "Embed a text", self.embed, EmbedAnswer, takes=EmbedRequest, errors=_ERRORS),
        )  # fmt: skip

    async def embeddings(self, request: Request) -> Response:
        """Answer POST /v1/embeddings."""
        asked = await answers.read(request, openai.EmbeddingRequest)
        self._check(asked)
        texts = (asked.input,) if isinstance(asked.input, str) else asked.input
        found = await while_listening(request, self.encoder.embed(texts, truncate=asked.truncate))
        write = _base64 if asked.encoding_format == "base64" else _numbers
        usage = openai.TokenCount.of(Usage(prompt_tokens=sum(one.tokens for one in found)))
        if len(found) > _AT_ONCE:
            end = openai.EmbeddingAnswer(data=(), model=self.encoder.name, usage=usage)
            return StreamingResponse(_written(found, write, end), media_type=wire.JSON)
        data = _items(found, 0, write)
        return answers.answer(openai.EmbeddingAnswer(data=data, model=self.encoder.name, usage=usage))

    async def embed(self, request: Request) -> Response:
        """Answer POST /embed."""
        asked = await answers.read(request, EmbedRequest)
        (found,) = await while_listening(request, self.encoder.embed([asked.text]))
        return answers.answer(EmbedAnswer(embedding=_numbers(found), dim=self.encoder.dim, model=self.encoder.name))

    def _check(self, asked: openai.EmbeddingRequest) -> None:
        """Raise MODEL_UNKNOWN or INVALID_REQUEST for what this model is not or has not."""
        name, dim = self.encoder.name, self.encoder.dim
        if not isinstance(asked.input, str) and len(asked.input) > openai.MAX_INPUTS:
            what = f"input: {len(asked.input)} texts of {openai.MAX_INPUTS}"
            raise OcgError(Code.INVALID_REQUEST, what, "send fewer at once", param="input")
        if asked.model and asked.model != name:
            raise OcgError(
                Code.MODEL_UNKNOWN,
                f"no embedding model {asked.model[:100]!r} is here",
                f"ask for {name!r}",
                param="model",
            )
        if asked.dimensions not in {None, dim}:
            raise OcgError(
                Code.INVALID_REQUEST,
                f"{name} makes vectors of {dim} dimensions, not of {asked.dimensions}",
                "leave `dimensions` out",
                param="dimensions",
            )


async def _written(
    found: Sequence[Embedded], write: "Callable[[Embedded], list[float] | str]", end: openai.EmbeddingAnswer
) -> AsyncIterator[bytes]:
    """Write a long answer piece by piece: `end` is all of it but the vectors."""
    head, tail = wire.encode(end).split(b'"data":[]')
    yield head + b'"data":['
    for at in range(0, len(found), _AT_ONCE):
        items = wire.encode(_items(found[at : at + _AT_ONCE], at, write))[1:-1]
        yield b"," + items if at else items
        await asyncio.sleep(0)
    yield b"]" + tail


def _items(
    found: Sequence[Embedded], first: int, write: "Callable[[Embedded], list[float] | str]"
) -> tuple[openai.EmbeddingItem, ...]:
    return tuple(openai.EmbeddingItem(embedding=write(one), index=first + at) for at, one in enumerate(found))


def _numbers(found: Embedded) -> list[float]:
    numbers: list[float] = found.vector.tolist()
    return numbers


def _base64(found: Embedded) -> str:
    return base64.b64encode(found.vector.astype("<f4").tobytes()).decode()

"""The HTTP of ocg-embedding: pure composition, everything passed in."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ocg import __version__
from ocg.embedding.chat import ChatModel
from ocg.embedding.collection import Collections
from ocg.embedding.completions import Completions
from ocg.embedding.encoder import Embedded, Encoder
from ocg.embedding.endpoints import Endpoint, document, routes
from ocg.embedding.request import LocalChat
from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.guard import Guard
from ocg.lifecycle.stream import while_listening
from ocg.protocol import openai
from ocg.protocol.messages import (
    Health,
    Struct,
    Text,
    Usage,
)


class _EmbedRequest(Struct, frozen=True):
    """POST /embed, the original's own shape."""

    text: Text


class _EmbedAnswer(Struct, frozen=True):
    embedding: list[float]
    dim: int
    model: str


@dataclass(frozen=True, slots=True)
class _Endpoints:
    encoder: Encoder
    vectors: VectorStore
    chat: ChatModel

    async def health(self, _: Request) -> Response:
        state = "loaded" if self.chat.is_loaded else "not loaded"
        details: dict[str, str | int | None] = {
            "model": self.encoder.name,
            "dim": self.encoder.dim,
            "vectors": await self.vectors.count(),
            "chat": f"{self.chat.name} {state}",
        }
        return answers.answer(Health(service="ocg-embedding", version=__version__, details=details))

    async def models(self, _: Request) -> Response:
        embedding = openai.ModelItem(id=self.encoder.name, kind="embedding", context=self.encoder.context)
        chat = openai.ModelItem(id=self.chat.name, kind="chat", context=self.chat.context, tools=self.chat.calls_tools)
        return answers.answer(openai.ModelList(data=(embedding, chat)))

    async def embeddings(self, request: Request) -> Response:
        asked = await answers.read(request, openai.EmbeddingRequest)
        if asked.model and asked.model != self.encoder.name:
            raise OcgError(
                Code.MODEL_UNKNOWN,
                f"no embedding model {asked.model[:100]!r} is here",
                f"ask for {self.encoder.name!r}",
                param="model",
            )
        texts = (asked.input,) if isinstance(asked.input, str) else asked.input
        found = await while_listening(request, self.encoder.embed(texts, truncate=asked.truncate))
        encode = _base64 if asked.encoding_format == "base64" else _numbers
        data = tuple(openai.EmbeddingItem(embedding=encode(one), index=at) for at, one in enumerate(found))
        usage = openai.TokenCount.of(Usage(prompt_tokens=sum(one.tokens for one in found)))
        return answers.answer(openai.EmbeddingAnswer(data=data, model=self.encoder.name, usage=usage))

    async def embed(self, request: Request) -> Response:
        asked = await answers.read(request, _EmbedRequest)
        (found,) = await self.encoder.embed([asked.text])
        return answers.answer(
            _EmbedAnswer(embedding=found.vector.tolist(), dim=self.encoder.dim, model=self.encoder.name)
        )

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        completions = Completions(self.chat)
        texts = (Code.CONTEXT_LENGTH, Code.BUSY)
        return (
            Endpoint("GET", "/health", "How the service is", self.health, Health, is_open=True),
            Endpoint("GET", "/v1/models", "List the models", self.models, openai.ModelList),
            Endpoint(
                "POST", "/v1/embeddings", "Embed texts", self.embeddings, openai.EmbeddingAnswer,
                takes=openai.EmbeddingRequest, errors=(Code.MODEL_UNKNOWN, *texts),
            ),
            Endpoint(
                "POST", "/v1/chat/completions", "Continue a conversation", completions.answer, openai.ChatAnswer,
                takes=LocalChat, streams=True, errors=(Code.MODEL_UNKNOWN, Code.MODEL_MISSING, *texts),
            ),
            Endpoint("POST", "/embed", "Embed a text", self.embed, _EmbedAnswer, takes=_EmbedRequest, errors=texts),
        )  # fmt: skip


def endpoints(*, encoder: Encoder, vectors: VectorStore, chat: ChatModel) -> tuple[Endpoint, ...]:
    """List all that the service answers, its own description last."""
    listed = (*_Endpoints(encoder, vectors, chat).endpoints(), *Collections(vectors).endpoints())

    async def openapi(_: Request) -> Response:
        return answers.answer(document((*listed, described), version=__version__))

    described = Endpoint("GET", "/openapi.json", "This document", openapi, dict[str, Any], is_open=True)
    return (*listed, described)


def create_app(*, encoder: Encoder, vectors: VectorStore, chat: ChatModel, accepts: Callable[[str], bool]) -> ASGIApp:
    """Build the application; `accepts` judges a token, which all but the open endpoints need."""
    listed = endpoints(encoder=encoder, vectors=vectors, chat=chat)
    is_open = frozenset(one.path for one in listed if one.is_open)
    return Guard(answers.create_app(routes(listed)), accepts=accepts, is_open=is_open.__contains__)


def _numbers(found: Embedded) -> list[float]:
    numbers: list[float] = found.vector.tolist()
    return numbers


def _base64(found: Embedded) -> str:
    return base64.b64encode(found.vector.astype("<f4").tobytes()).decode()

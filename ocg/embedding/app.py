"""The HTTP of ocg-embedding: pure composition, everything passed in."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ocg import __version__
from ocg.embedding.chat import ChatModel
from ocg.embedding.completions import Completions
from ocg.embedding.encoder import Embedded, Encoder
from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers
from ocg.lifecycle.guard import Guard
from ocg.lifecycle.stream import while_listening
from ocg.protocol import openai
from ocg.protocol.messages import (
    Changed,
    DeleteRequest,
    Health,
    SearchRequest,
    SearchResult,
    Struct,
    Text,
    UpsertRequest,
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

    async def upsert(self, request: Request) -> Response:
        asked = await answers.read(request, UpsertRequest)
        return answers.answer(Changed(count=await while_listening(request, self.vectors.upsert(asked))))

    async def delete(self, request: Request) -> Response:
        return answers.answer(Changed(count=await self.vectors.delete(await answers.read(request, DeleteRequest))))

    async def search(self, request: Request) -> Response:
        hits = await self.vectors.search(await answers.read(request, SearchRequest))
        return answers.answer(SearchResult(hits=hits))


def create_app(*, encoder: Encoder, vectors: VectorStore, chat: ChatModel, accepts: Callable[[str], bool]) -> ASGIApp:
    """Build the application; `accepts` judges a token, which all but /health need."""
    ends = _Endpoints(encoder, vectors, chat)
    app = answers.create_app(
        [
            Route("/health", ends.health),
            Route("/v1/models", ends.models),
            Route("/v1/embeddings", ends.embeddings, methods=["POST"]),
            Route("/v1/chat/completions", Completions(chat).answer, methods=["POST"]),
            Route("/embed", ends.embed, methods=["POST"]),
            Route("/vectors/upsert", ends.upsert, methods=["POST"]),
            Route("/vectors/delete", ends.delete, methods=["POST"]),
            Route("/search", ends.search, methods=["POST"]),
        ]
    )
    return Guard(app, accepts=accepts, is_open=lambda path: path == "/health")


def _numbers(found: Embedded) -> list[float]:
    numbers: list[float] = found.vector.tolist()
    return numbers


def _base64(found: Embedded) -> str:
    return base64.b64encode(found.vector.astype("<f4").tobytes()).decode()

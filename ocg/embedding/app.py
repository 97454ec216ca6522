"""The HTTP of ocg-embedding: pure composition, everything passed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ocg import __version__
from ocg.embedding.chat import ChatModel
from ocg.embedding.collection import Collections
from ocg.embedding.completions import Completions
from ocg.embedding.embeddings import Embeddings
from ocg.embedding.encoder import Encoder
from ocg.embedding.metrics import Metrics
from ocg.embedding.request import LocalChat
from ocg.embedding.tokens import Tokens
from ocg.embedding.vectors import VectorStore
from ocg.errors import Code, OcgError
from ocg.lifecycle import answers, vitals
from ocg.lifecycle.endpoints import Endpoint, routes
from ocg.lifecycle.guard import Guard
from ocg.lifecycle.openapi import document
from ocg.lifecycle.stream import while_listening
from ocg.protocol import openai
from ocg.protocol.messages import Health
from ocg.protocol.tokens import TokensAnswer, TokensRequest
from ocg.telemetry.metrics import CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class _Endpoints:
    encoder: Encoder
    vectors: VectorStore
    chat: ChatModel
    tokens: Tokens
    metrics: Metrics

    async def health(self, _: Request) -> Response:
        state = "loaded" if self.chat.is_loaded else "not loaded"
        details: dict[str, str | int | None] = {
            "model": self.encoder.name,
            "dim": self.encoder.dim,
            "vectors": await self.vectors.count(),
            "chat": f"{self.chat.name} {state}",
        }
        return answers.answer(await vitals.health("ocg-embedding", details))

    async def show_metrics(self, _: Request) -> Response:
        return Response(self.metrics.meter.text(), media_type=CONTENT_TYPE)

    async def models(self, _: Request) -> Response:
        embedding = openai.ModelItem(id=self.encoder.name, kind="embedding", context=self.encoder.context)
        chat = openai.ModelItem(id=self.chat.name, kind="chat", context=self.chat.context, tools=self.chat.calls_tools)
        return answers.answer(openai.ModelList(data=(embedding, chat)))

    async def count_tokens(self, request: Request) -> Response:
        asked = await answers.read(request, TokensRequest)
        if asked.model and asked.model != self.tokens.name:
            why, hint = f"no chat model {asked.model[:100]!r} is here", f"ask for {self.tokens.name!r}"
            raise OcgError(Code.MODEL_UNKNOWN, why, hint, param="model")
        counts = await while_listening(request, self.tokens.count(asked.texts))
        return answers.answer(TokensAnswer(model=self.tokens.name, counts=counts))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        completions = Completions(self.chat)
        return (
            Endpoint("GET", "/health", "How the service is", self.health, Health, is_open=True),
            Endpoint("GET", "/metrics", "What the service measures", self.show_metrics, str, media=CONTENT_TYPE),
            Endpoint("GET", "/v1/models", "List the models", self.models, openai.ModelList),
            *Embeddings(self.encoder).endpoints(),
            Endpoint(
                "POST", "/v1/chat/completions", "Continue a conversation", completions.answer, openai.ChatAnswer,
                takes=LocalChat, streams=openai.ChatChunk, last="[DONE]",
                errors=(Code.MODEL_UNKNOWN, Code.MODEL_MISSING, Code.CONTEXT_LENGTH, Code.BUSY),
            ),
            Endpoint(
                "POST", "/v1/tokens", "Count texts' tokens in the chat model", self.count_tokens, TokensAnswer,
                takes=TokensRequest, errors=(Code.MODEL_UNKNOWN, Code.MODEL_MISSING, Code.MODEL_DAMAGED, Code.BUSY),
            ),
        )  # fmt: skip


def endpoints(
    *, encoder: Encoder, vectors: VectorStore, chat: ChatModel, tokens: Tokens, metrics: Metrics
) -> tuple[Endpoint, ...]:
    """List all that the service answers, its own description last."""
    listed = (*_Endpoints(encoder, vectors, chat, tokens, metrics).endpoints(), *Collections(vectors).endpoints())

    async def openapi(_: Request) -> Response:
        return answers.answer(describe((*listed, described)))

    described = Endpoint("GET", "/openapi.json", "This document", openapi, dict[str, Any], is_open=True)
    return (*listed, described)


def describe(listed: Sequence[Endpoint]) -> dict[str, Any]:
    """Make the document that says what the service answers."""
    about = "Models, embeddings and vectors of OCG."
    return document(listed, title="ocg-embedding", version=__version__, description=about)


def create_app(
    *,
    encoder: Encoder,
    vectors: VectorStore,
    chat: ChatModel,
    tokens: Tokens,
    metrics: Metrics,
    accepts: Callable[[str], bool],
) -> ASGIApp:
    """Build the application; `accepts` judges a token, which all but the open endpoints need."""
    listed = endpoints(encoder=encoder, vectors=vectors, chat=chat, tokens=tokens, metrics=metrics)
    is_open = frozenset(one.path for one in listed if one.is_open)
    app = answers.create_app(routes(listed))
    return Guard(app, accepts=lambda token, _: accepts(token), is_open=is_open.__contains__)

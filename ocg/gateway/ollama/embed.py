"""POST /api/embed and /api/embeddings."""

import time
from functools import partial

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.chats.chats import Answerer, Kind
from ocg.gateway.chats.upstream import SILENCE_S
from ocg.gateway.ollama.errors import OllamaError
from ocg.gateway.ollama.request import EmbeddingsRequest, EmbedRequest, plain
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.stream import while_listening
from ocg.protocol.openai import EmbeddingAnswer, EmbeddingRequest
from ocg.protocol.struct import Struct


class EmbedAnswer(Struct, frozen=True, kw_only=True):
    """The vectors, in the order of the texts; the duration is in nanoseconds."""

    model: str
    embeddings: tuple[list[float], ...]
    total_duration: int
    prompt_eval_count: int


class EmbeddingsAnswer(Struct, frozen=True, kw_only=True):
    """The vector of the one text."""

    embedding: list[float]


class EmbedRoutes:
    """The routes."""

    def __init__(self, agent: Agent, embedding: Embedding) -> None:
        self._agent = agent
        self._embedding = embedding

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(
            Endpoint, errors=(Code.MODEL_UNKNOWN, Code.CONTEXT_LENGTH, *UPSTREAM_ERRORS), failure=OllamaError,
            scope="chat", tag="Ollama",
        )  # fmt: skip
        return (
            shared("POST", "/api/embed", "Embed texts", self.ollama_embed, EmbedAnswer, takes=EmbedRequest),
            shared(
                "POST", "/api/embeddings", "Embed a text", self.ollama_embeddings, EmbeddingsAnswer,
                takes=EmbeddingsRequest,
            ),
        )  # fmt: skip

    async def ollama_embed(self, request: Request) -> Response:
        """Embed texts; one that is too long is cut, unless the client says otherwise."""
        asked = await answers.read(request, EmbedRequest)
        began_ns = time.monotonic_ns()
        if not asked.input:
            return answers.answer(EmbedAnswer(model=asked.model, embeddings=(), total_duration=0, prompt_eval_count=0))
        found = await while_listening(request, self._embedded(asked))
        return answers.answer(
            EmbedAnswer(
                model=asked.model,
                embeddings=_vectors(found, 1 if isinstance(asked.input, str) else len(asked.input)),
                total_duration=time.monotonic_ns() - began_ns,
                prompt_eval_count=found.usage.prompt_tokens,
            )
        )

    async def ollama_embeddings(self, request: Request) -> Response:
        """Embed one text."""
        asked = await answers.read(request, EmbeddingsRequest)
        found = await while_listening(request, self._embedded(EmbedRequest(model=asked.model, input=asked.prompt)))
        return answers.answer(EmbeddingsAnswer(embedding=_vectors(found, 1)[0]))

    async def _embedded(self, asked: EmbedRequest) -> EmbeddingAnswer:
        answerer = Answerer.of(plain(asked.model))
        body = EmbeddingRequest(input=asked.input, model=answerer.model, dimensions=asked.dimensions)
        if answerer.kind is Kind.PROVIDER:  # which cuts as it likes
            path = f"/v1/providers/{answerer.provider}/embeddings"
            return await self._agent.call("POST", path, EmbeddingAnswer, body, silence_s=SILENCE_S)
        body = structs.replace(body, truncate=asked.truncate is not False)
        return await self._embedding.call("POST", "/v1/embeddings", EmbeddingAnswer, body, silence_s=SILENCE_S)


def _vectors(answer: EmbeddingAnswer, count: int) -> tuple[list[float], ...]:
    """Return the vectors of so many texts, in their order. Raises PROVIDER unless it is one for each."""
    found = {one.index: one.embedding for one in answer.data if isinstance(one.embedding, list)}
    if found.keys() != set(range(count)):
        raise OcgError(Code.PROVIDER, "the model did not give each text a vector", "ask again, or use another model")
    return tuple(found[index] for index in range(count))

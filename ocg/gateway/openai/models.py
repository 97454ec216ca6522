"""What the embedding service's models answer themselves: the list, embeddings, and chats that name one of them."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.openai.answer import error_frame
from ocg.gateway.openai.request import AGENT_MODEL, ModelNamed
from ocg.gateway.upstream import UPSTREAM_ERRORS, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.lifecycle.stream import EventStream, while_listening
from ocg.protocol import wire
from ocg.protocol.openai import EmbeddingAnswer, EmbeddingRequest, ModelItem, ModelList

# A model may have to be loaded first, and a long prompt read.
_SILENCE_S = 600.0


class Models:
    """Routes that the embedding service answers."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self._agent = ModelItem(id=AGENT_MODEL, kind="agent", tools=True, created=int(time.time()))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(Endpoint, scope="chat", tag="OpenAI")
        return (
            shared("GET", "/v1/models", "List the models", self.models, ModelList, errors=UPSTREAM_ERRORS),
            shared(
                "GET", "/v1/models/{id:any}", "Describe a model", self.model, ModelItem,
                errors=(Code.MODEL_UNKNOWN, *UPSTREAM_ERRORS),
            ),
            shared(
                "POST", "/v1/embeddings", "Embed texts", self.embeddings, EmbeddingAnswer,
                takes=EmbeddingRequest, errors=(Code.MODEL_UNKNOWN, Code.CONTEXT_LENGTH, *UPSTREAM_ERRORS),
            ),
        )  # fmt: skip

    async def models(self, _: Request) -> Response:
        """List the agent and the models."""
        return answers.answer(ModelList(data=(self._agent, *await self._local())))

    async def model(self, request: Request) -> Response:
        """Describe one."""
        name = request.path_params["id"]
        for model in (self._agent, *await self._local()):
            if model.id == name:
                return answers.answer(model)
        raise _unknown(name)

    async def embeddings(self, request: Request) -> Response:
        """Embed; the service judges the request."""
        body = await answers.read_bytes(request)
        return await while_listening(request, self._pass("/v1/embeddings", body))

    async def chat(self, request: Request, named: ModelNamed, body: bytes) -> Response:
        """Let a local model answer. Raises MODEL_UNKNOWN when there is none of that name."""
        if not any(model.id == named.model and model.kind == "chat" for model in await self._local()):
            raise _unknown(named.model)
        if named.stream:
            return await while_listening(request, self._stream("/v1/chat/completions", body))
        return await while_listening(request, self._pass("/v1/chat/completions", body))

    async def _local(self) -> tuple[ModelItem, ...]:
        return (await self._embedding.call("GET", "/v1/models", ModelList)).data

    async def _pass(self, path: str, body: bytes) -> Response:
        async with self._embedding.send("POST", path, data=body, silence_s=_SILENCE_S) as response:
            return Response(await self._embedding.whole(response), media_type=wire.JSON)

    async def _stream(self, path: str, body: bytes) -> Response:
        """Open the stream, so that an error before its first byte has an HTTP status, and pass its bytes on."""
        async with AsyncExitStack() as stack:
            response = await stack.enter_async_context(
                self._embedding.send("POST", path, data=body, silence_s=_SILENCE_S)
            )
            return EventStream(_bytes(response.content.iter_any(), stack.pop_all()))


async def _bytes(content: AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    try:
        async with stack:
            async for chunk in content:
                yield chunk
    except OcgError as error:
        yield error_frame(error)


def _unknown(name: str) -> OcgError:
    return OcgError(
        Code.MODEL_UNKNOWN, f"there is no chat model {name[:100]!r}", "GET /v1/models lists them", param="model"
    )

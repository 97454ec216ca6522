"""The list of models, and embeddings."""

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code, OcgError
from ocg.gateway.chats.turn import AGENT_MODEL
from ocg.gateway.openai.raw import passed
from ocg.gateway.upstream import UPSTREAM_ERRORS, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.openai import EmbeddingAnswer, EmbeddingRequest, ModelItem, ModelList


class Models:
    """What can be asked for by name."""

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
        why = f"there is no model {name[:100]!r}"
        raise OcgError(Code.MODEL_UNKNOWN, why, "GET /v1/models lists them", param="model")

    async def embeddings(self, request: Request) -> Response:
        """Embed; the service judges the request."""
        body = await answers.read_bytes(request)
        return await passed(request, self._embedding, "/v1/embeddings", body)

    async def _local(self) -> tuple[ModelItem, ...]:
        return (await self._embedding.call("GET", "/v1/models", ModelList)).data

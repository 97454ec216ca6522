"""The list of models, and embeddings."""

import asyncio
import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.config.presets import LOCAL
from ocg.errors import Code, OcgError
from ocg.gateway.anthropic.models import ModelInfo, ModelPage, is_wanted
from ocg.gateway.chats.chats import Answerer, Kind
from ocg.gateway.chats.turn import AGENT_MODEL
from ocg.gateway.openai.raw import passed
from ocg.gateway.openai.request import ModelNamed
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent, Embedding
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol import wire
from ocg.protocol.openai import EmbeddingAnswer, EmbeddingRequest, ModelItem, ModelList, with_model


class Models:
    """What can be asked for by name."""

    def __init__(self, agent: Agent, embedding: Embedding) -> None:
        self._providers = agent
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

    async def models(self, request: Request) -> Response:
        """List them, as Anthropic does for its clients."""
        found = await self.all()
        return answers.answer(ModelPage.of(found) if is_wanted(request) else ModelList(data=found))

    async def model(self, request: Request) -> Response:
        """Describe one."""
        found = await self.find(request.path_params["id"])
        return answers.answer(ModelInfo.of(found) if is_wanted(request) else found)

    async def find(self, name: str) -> ModelItem:
        """Return one of them. Raises MODEL_UNKNOWN."""
        for model in await self.all():
            if model.id == name:
                return model
        why = f"there is no model {name[:100]!r}"
        raise OcgError(Code.MODEL_UNKNOWN, why, "GET /v1/models lists them", param="model")

    async def embeddings(self, request: Request) -> Response:
        """Embed; who has the model judges the request."""
        body = await answers.read_bytes(request)
        named = wire.decode(ModelNamed, body).model
        answerer = Answerer.of(named)
        if answerer.kind is Kind.PROVIDER:
            return passed(self._providers, f"/v1/providers/{answerer.provider}/embeddings", body)
        is_own_name = answerer.kind is Kind.AGENT or answerer.model == named
        return passed(self._embedding, "/v1/embeddings", body if is_own_name else with_model(body, answerer.model))

    async def all(self) -> tuple[ModelItem, ...]:
        """Return the agent, the models, and what providers would be asked for."""
        local, remote = await asyncio.gather(self._local(), self._remote())
        return (self._agent, *local, *remote)

    async def _local(self) -> tuple[ModelItem, ...]:
        return (await self._embedding.call("GET", "/v1/models", ModelList)).data

    async def _remote(self) -> tuple[ModelItem, ...]:
        """List what each provider in use that can be asked has by default; nothing while the agent is away."""
        try:
            found = (await self._providers.providers_at_once()).providers
        except (OcgError, TimeoutError):
            return ()
        return tuple(
            ModelItem(id=f"{one.name}/{one.model}", kind="chat", tools=True, owned_by=one.name)
            for one in found
            if one.place and one.name != LOCAL and one.model and one.key != "missing"
        )

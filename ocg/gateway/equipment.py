"""What the agent works with: its tools, and who gives its replies."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.names import checked, id_of
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.lifecycle.stream import while_listening
from ocg.protocol.messages import Changed, Name, ProviderList, ProviderTest, ProviderWish, ToolList

_Model = Annotated[str, msgspec.Meta(max_length=256)]
_MODEL = (Parameter("model", _Model, "which of its models; the one in use where this is empty"),)


class EquipmentRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Agent")
        yield shared("GET", "/v1/tools", "List the agent's tools", self.tools, ToolList, scope="read")
        yield shared(
            "GET", "/v1/providers", "List the providers of replies, those in use first", self.providers, ProviderList,
            scope="read",
        )  # fmt: skip
        yield shared(
            "POST", "/v1/providers/{id}/test", "Have a provider answer something short", self.test_provider,
            ProviderTest, named=Name, parameters=_MODEL, scope="admin",
            errors=(Code.NOT_FOUND, Code.CONTEXT_LENGTH, Code.MODEL_MISSING, *UPSTREAM_ERRORS),
        )  # fmt: skip
        yield shared(
            "PUT", "/v1/providers/wish", "Have these answer from now on, whatever the settings say",
            self.use_providers, Changed, takes=ProviderWish, scope="admin",
        )  # fmt: skip
        yield shared(
            "DELETE", "/v1/providers/wish", "Have the settings say again who answers", self.forget_wish, Changed,
            scope="admin",
        )  # fmt: skip

    async def tools(self, _: Request) -> Response:
        """List the agent's tools."""
        return answers.answer(await self._agent.tools())

    async def providers(self, _: Request) -> Response:
        """List the providers."""
        return answers.answer(await self._agent.providers())

    async def test_provider(self, request: Request) -> Response:
        """Have a provider answer something short; it may take minutes to load its model."""
        name, model = id_of(request), checked(request.query_params.get("model", ""), _Model, "model")
        return answers.answer(await while_listening(request, self._agent.test_provider(name, model)))

    async def use_providers(self, request: Request) -> Response:
        """Have these answer."""
        asked = await answers.read(request, ProviderWish, limit_bytes=4096)
        await self._agent.use_providers(asked.providers)
        return answers.answer(Changed(count=1))

    async def forget_wish(self, _: Request) -> Response:
        """Have the settings say again who answers."""
        await self._agent.forget_wish()
        return answers.answer(Changed(count=1))

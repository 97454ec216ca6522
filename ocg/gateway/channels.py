"""Channels over HTTP: any program can speak for one, and no answer for it is lost."""

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
from ocg.protocol.channels import MAX_WAIT_S, ChannelClient, ChannelList
from ocg.protocol.messages import Changed, DeliveryFailed, DeliveryList, Name

_WAIT = Parameter("wait", Annotated[int, msgspec.Meta(ge=0, le=MAX_WAIT_S)], "for how many seconds, without any")
_BODY_BYTES = 4096


class ChannelRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = ChannelClient(agent)

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, named=Name, tag="Channels")
        one = partial(shared, errors=(Code.NOT_FOUND, *UPSTREAM_ERRORS), scope="admin")
        yield shared(
            "GET", "/v1/channels", "List those that answers wait for", self.channels, ChannelList, scope="read"
        )
        yield shared(
            "POST", "/v1/channels/{name}/take", "Take the answers that are due for one, for a minute", self.take,
            DeliveryList, parameters=(_WAIT,), scope="admin",
        )  # fmt: skip
        yield one("DELETE", "/v1/deliveries/{id}", "Say that an answer was delivered", self.settle, Changed)
        yield one(
            "POST", "/v1/deliveries/{id}/failed", "Say that an answer could not be delivered", self.fail_delivery,
            Changed, takes=DeliveryFailed,
        )  # fmt: skip

    async def channels(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._agent.list())

    async def take(self, request: Request) -> Response:
        """Take what is due for one; where the client leaves, it is due again in a minute."""
        wait_s = answers.number(request, "wait", default=0, most=MAX_WAIT_S)
        name = checked(request.path_params["name"], Name, "name")
        await answers.read_bytes(request, limit_bytes=_BODY_BYTES)  # there is none to speak of
        return answers.answer(await while_listening(request, self._agent.take(name, wait_s=wait_s)))

    async def settle(self, request: Request) -> Response:
        """One was delivered."""
        await self._agent.settle(id_of(request))
        return answers.answer(Changed(count=1))

    async def fail_delivery(self, request: Request) -> Response:
        """One could not be."""
        asked = await answers.read(request, DeliveryFailed, limit_bytes=_BODY_BYTES)
        await self._agent.fail(id_of(request), asked)
        return answers.answer(Changed(count=1))

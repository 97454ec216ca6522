"""The outbox over HTTP, for whoever speaks for a channel."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.deliveries import Deliveries
from ocg.lifecycle import answers
from ocg.lifecycle.stream import while_listening
from ocg.protocol.channels import MAX_WAIT_S, ChannelList
from ocg.protocol.messages import Changed, DeliveryFailed, DeliveryList


class ChannelRoutes:
    """Channels that answers wait for, and the answers."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("/v1/channels", self.channels),
            Route("/v1/channels/{name}/take", self.take, methods=["POST"]),
            Route("/v1/deliveries/{id}", self.settle, methods=["DELETE"]),
            Route("/v1/deliveries/{id}/failed", self.fail, methods=["POST"]),
        ]

    async def channels(self, _: Request) -> Response:
        """List the channels."""
        return answers.answer(ChannelList(channels=await self._deliveries.channels()))

    async def take(self, request: Request) -> Response:
        """Lease what is due for one, to a client that is still there."""
        wait_s = answers.number(request, "wait", default=0, most=MAX_WAIT_S)
        await answers.read_bytes(request)  # there is none to speak of
        work = self._deliveries.take(request.path_params["name"], wait_s=wait_s)
        return answers.answer(DeliveryList(deliveries=await while_listening(request, work)))

    async def settle(self, request: Request) -> Response:
        """One was delivered."""
        await self._deliveries.settle(request.path_params["id"])
        return answers.answer(Changed(count=1))

    async def fail(self, request: Request) -> Response:
        """One could not be."""
        asked = await answers.read(request, DeliveryFailed)
        await self._deliveries.fail(request.path_params["id"], again_after_s=asked.again_after_s)
        return answers.answer(Changed(count=1))

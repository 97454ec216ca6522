"""The routes by which the gateway keeps responses of OpenAI's Responses API."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.responses import Responses
from ocg.lifecycle import answers
from ocg.protocol.messages import Changed
from ocg.protocol.responses import MAX_KEPT_BYTES, ItemIds, KeptItems, KeptResponse


class ResponseRoutes:
    """Keeps responses and tells what is kept; who may see it is the gateway's business."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/v1/responses/items", self.items, methods=["POST"]),
            Route("/v1/responses/{id}", self.keep, methods=["PUT"]),
            Route("/v1/responses/{id}", self.response, methods=["GET"]),
            Route("/v1/responses/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/responses/{id}/chain", self.chain),
        ]

    async def items(self, request: Request) -> Response:
        """Find items that came out of responses."""
        asked = await answers.read(request, ItemIds)
        return answers.answer(KeptItems(items=await self._responses.items(asked.ids)))

    async def keep(self, request: Request) -> Response:
        """Keep a response."""
        asked = await answers.read(request, KeptResponse, limit_bytes=MAX_KEPT_BYTES)
        await self._responses.keep(request.path_params["id"], asked)
        return answers.answer(Changed(count=1))

    async def response(self, request: Request) -> Response:
        """Tell a response."""
        return answers.answer(await self._responses.get(request.path_params["id"]))

    async def delete(self, request: Request) -> Response:
        """Delete a response for good."""
        await self._responses.delete(request.path_params["id"])
        return answers.answer(Changed(count=1))

    async def chain(self, request: Request) -> Response:
        """Tell the conversation that ends with a response."""
        return answers.answer(await self._responses.chain(request.path_params["id"]))

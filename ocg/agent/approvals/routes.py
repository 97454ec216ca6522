"""The routes by which people answer, and see what was decided."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.approvals.gate import Gate
from ocg.lifecycle import answers
from ocg.protocol.approvals import MAX_DECISIONS, ApprovalAnswer


class ApprovalRoutes:
    """Who may answer is the gateway's business, and the socket's mode's."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/v1/approvals", self.waiting),
            Route("/v1/approvals/{id}", self.answer, methods=["POST"]),
            Route("/v1/decisions", self.decisions),
        ]

    async def waiting(self, _: Request) -> Response:
        """List what waits."""
        return answers.answer(await self._gate.records.waiting())

    async def answer(self, request: Request) -> Response:
        """Take an answer."""
        asked = await answers.read(request, ApprovalAnswer)
        return answers.answer(await self._gate.answer(request.path_params["id"], asked))

    async def decisions(self, request: Request) -> Response:
        """List what was decided."""
        limit = answers.number(request, "limit", default=100, least=1, most=MAX_DECISIONS)
        return answers.answer(await self._gate.records.decisions(limit))

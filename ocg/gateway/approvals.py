"""Calls of tools that wait to be allowed, and what was decided, over HTTP."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.caller import who
from ocg.gateway.names import id_of
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint, Parameter
from ocg.protocol.approvals import MAX_DECISIONS, Approval, ApprovalAnswer, ApprovalList, DecisionList
from ocg.protocol.messages import Name

_Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_DECISIONS, extra_json_schema={"default": 100})]
_LIMIT = (Parameter("limit", _Limit, "how many at the most"),)


class ApprovalRoutes:
    """Passes them through; who answers is whoever has the token."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Approvals")
        yield shared(
            "GET", "/v1/approvals", "List the calls of tools that wait to be allowed", self.waiting, ApprovalList,
            scope="read",
        )  # fmt: skip
        yield shared(
            "POST", "/v1/approvals/{id}", "Allow a call of a tool, or deny it", self.answer, Approval,
            takes=ApprovalAnswer, named=Name, errors=(Code.NOT_FOUND, Code.CONFLICT, *UPSTREAM_ERRORS), scope="admin",
        )  # fmt: skip
        yield shared(
            "GET", "/v1/decisions", "List what was decided on calls of tools, the newest first", self.decisions,
            DecisionList, parameters=_LIMIT, scope="read",
        )  # fmt: skip

    async def waiting(self, _: Request) -> Response:
        """List what waits."""
        return answers.answer(await self._agent.approvals())

    async def answer(self, request: Request) -> Response:
        """Pass an answer on, with the name of who gives it."""
        asked = await answers.read(request, ApprovalAnswer, limit_bytes=4096)
        given = msgspec.structs.replace(asked, by=who(request).name)
        return answers.answer(await self._agent.approve(id_of(request), given))

    async def decisions(self, request: Request) -> Response:
        """List what was decided."""
        limit = answers.number(request, "limit", default=100, least=1, most=MAX_DECISIONS)
        return answers.answer(await self._agent.decisions(limit=limit))

"""What the agent can learn to do, over HTTP."""

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.names import checked
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.skills import SkillClient, SkillList, SkillName, SkillText


class SkillRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = SkillClient(agent)

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Agent")
        yield shared("GET", "/v1/skills", "List the agent's skills", self.skills, SkillList, scope="read")
        yield shared(
            "GET", "/v1/skills/{name}", "Show a skill with its instructions", self.skill, SkillText,
            named=SkillName, errors=(Code.NOT_FOUND, *UPSTREAM_ERRORS), scope="read",
        )  # fmt: skip

    async def skills(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._agent.list())

    async def skill(self, request: Request) -> Response:
        """Show one."""
        return answers.answer(await self._agent.show(checked(request.path_params["name"], SkillName, "name")))

"""The routes by which skills are seen."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.skills.skills import Skills
from ocg.lifecycle import answers


class SkillRoutes:
    """Shows them."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    def routes(self) -> list[Route]:
        """Return them."""
        return [Route("/v1/skills", self.list), Route("/v1/skills/{name}", self.show)]

    async def list(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._skills.list())

    async def show(self, request: Request) -> Response:
        """Show one with its instructions."""
        return answers.answer(await self._skills.show(request.path_params["name"]))

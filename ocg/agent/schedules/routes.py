"""The routes by which schedules are seen and changed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocg.agent.schedules.schedules import Schedules
from ocg.lifecycle import answers
from ocg.protocol.messages import Changed
from ocg.protocol.schedules import SchedulePatch, ScheduleRequest

_BODY_BYTES = 128 << 10  # its text, with every character escaped


class ScheduleRoutes:
    """Shows and changes them."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/v1/schedules", self.list, methods=["GET"]),
            Route("/v1/schedules", self.add, methods=["POST"]),
            Route("/v1/schedules/{name}", self.change, methods=["PATCH"]),
            Route("/v1/schedules/{name}", self.remove, methods=["DELETE"]),
            Route("/v1/schedules/{name}/run", self.run, methods=["POST"]),
            Route("/v1/schedules/{name}/runs", self.runs),
        ]

    async def list(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._schedules.list())

    async def add(self, request: Request) -> Response:
        """Add one."""
        asked = await answers.read(request, ScheduleRequest, limit_bytes=_BODY_BYTES)
        return answers.answer(await self._schedules.add(asked))

    async def change(self, request: Request) -> Response:
        """Have one rest, or go on."""
        asked = await answers.read(request, SchedulePatch, limit_bytes=4096)
        return answers.answer(await self._schedules.pause(request.path_params["name"], is_paused=asked.is_paused))

    async def remove(self, request: Request) -> Response:
        """Remove one."""
        await self._schedules.remove(request.path_params["name"])
        return answers.answer(Changed(count=1))

    async def run(self, request: Request) -> Response:
        """Begin a run now."""
        return answers.answer(await self._schedules.ask(request.path_params["name"]))

    async def runs(self, request: Request) -> Response:
        """List the runs of one."""
        return answers.answer(await self._schedules.runs(request.path_params["name"]))

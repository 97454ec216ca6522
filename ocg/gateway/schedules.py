"""What the agent is to be asked later, over HTTP: seen, added, paused, begun and removed."""

from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.names import checked
from ocg.gateway.upstream import UPSTREAM_ERRORS, Agent
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.messages import Changed
from ocg.protocol.schedules import (
    Schedule,
    ScheduleClient,
    ScheduleList,
    ScheduleName,
    SchedulePatch,
    ScheduleRequest,
    ScheduleRun,
    ScheduleRunList,
)

_BODY_BYTES = 128 << 10  # its text, with every character escaped


class ScheduleRoutes:
    """Passes them through."""

    def __init__(self, agent: Agent) -> None:
        self._agent = ScheduleClient(agent)

    def endpoints(self) -> Iterator[Endpoint]:
        """List them."""
        shared = partial(Endpoint, errors=UPSTREAM_ERRORS, tag="Schedules")
        one = partial(shared, named=ScheduleName, errors=(Code.NOT_FOUND, *UPSTREAM_ERRORS))
        yield shared("GET", "/v1/schedules", "List the schedules", self.schedules, ScheduleList, scope="read")
        yield shared(
            "POST", "/v1/schedules", "Have the agent asked something at certain times", self.add, Schedule,
            takes=ScheduleRequest, errors=(Code.CONFLICT, Code.LIMIT, *UPSTREAM_ERRORS), scope="admin",
        )  # fmt: skip
        yield one(
            "PATCH", "/v1/schedules/{name}", "Have a schedule rest, or go on", self.change, Schedule,
            takes=SchedulePatch, scope="admin",
        )  # fmt: skip
        yield one(
            "DELETE", "/v1/schedules/{name}", "Remove a schedule, with its history", self.remove, Changed, scope="admin"
        )
        yield one(
            "POST", "/v1/schedules/{name}/run", "Begin a run now", self.run, ScheduleRun, scope="admin",
            errors=(Code.NOT_FOUND, Code.CONFLICT, *UPSTREAM_ERRORS),
        )  # fmt: skip
        yield one(
            "GET", "/v1/schedules/{name}/runs", "List the runs of a schedule, newest first", self.runs,
            ScheduleRunList, scope="read",
        )  # fmt: skip

    async def schedules(self, _: Request) -> Response:
        """List them."""
        return answers.answer(await self._agent.list())

    async def add(self, request: Request) -> Response:
        """Add one."""
        asked = await answers.read(request, ScheduleRequest, limit_bytes=_BODY_BYTES)
        return answers.answer(await self._agent.add(asked))

    async def change(self, request: Request) -> Response:
        """Have one rest, or go on."""
        name, asked = _name_of(request), await answers.read(request, SchedulePatch, limit_bytes=4096)
        return answers.answer(await self._agent.change(name, asked))

    async def remove(self, request: Request) -> Response:
        """Remove one."""
        await self._agent.remove(_name_of(request))
        return answers.answer(Changed(count=1))

    async def run(self, request: Request) -> Response:
        """Begin a run now."""
        return answers.answer(await self._agent.run(_name_of(request)))

    async def runs(self, request: Request) -> Response:
        """List the runs of one."""
        return answers.answer(await self._agent.runs(_name_of(request)))


def _name_of(request: Request) -> str:
    return checked(request.path_params["name"], ScheduleName, "name")

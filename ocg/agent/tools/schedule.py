"""Being asked something later."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from ocg.agent.schedules import Schedules
from ocg.agent.tools.time import say
from ocg.agent.zones import zone_of
from ocg.errors import Code, OcgError
from ocg.protocol.schedules import Schedule, ScheduledText, ScheduleName, ScheduleRequest, When, Zone

_MOST_SHOWN = 50
_SHOWN_CHARS = 200


class ScheduleArguments(msgspec.Struct, frozen=True):
    """What to do with which."""

    action: Literal["add", "list", "remove"]
    name: Annotated[ScheduleName, msgspec.Meta(description="a short name, to add or remove")] | None = None
    when: (
        Annotated[
            When,
            msgspec.Meta(
                description="`in 20m`, `at 2026-12-01 09:00`, `every 2h`, or cron's five fields: `0 8 * * 1-5`"
            ),
        ]
        | None
    ) = None
    message: Annotated[ScheduledText, msgspec.Meta(description="what you will be asked then")] | None = None
    zone: Annotated[Zone, msgspec.Meta(description="an IANA time zone; the user's own when empty")] = ""


class ScheduleTool:
    """See Tool. Adding the same again changes nothing, and what was removed is not there."""

    name = "schedule"
    description = "Have yourself asked something later, once or again and again; list or remove what is scheduled."
    arguments = ScheduleArguments
    timeout_s = 10.0
    is_repeatable = True

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def run(self, arguments: ScheduleArguments) -> str:
        """Do it, and say what stands now."""
        match arguments:
            case ScheduleArguments(action="list"):
                found = (await self._schedules.list()).schedules
                return "\n".join(map(_said, found[:_MOST_SHOWN])) or "nothing is scheduled"
            case ScheduleArguments(action="remove", name=str(name)):
                await self._schedules.remove(name)
                return f"removed {name}"
            case ScheduleArguments(action="add", name=str(name), when=str(when), message=str(message)):
                request = ScheduleRequest(name=name, when=when, message=message, zone=arguments.zone)
                return f"scheduled {_said(await self._schedules.add(request))}"
        wanted = "name" if arguments.action == "remove" else "name, when and message"
        raise OcgError(Code.INVALID_REQUEST, f"to {arguments.action} takes {wanted}", "call schedule again with them")


def _said(one: Schedule) -> str:
    if one.next_at is None:
        state = "is over"
    elif one.is_paused:
        state = "is paused"
    else:
        state = f"next on {say(dt.datetime.fromtimestamp(one.next_at, zone_of(one.zone)))}"
    return f"{one.name} ({one.when}, {state}): {one.message[:_SHOWN_CHARS]}"

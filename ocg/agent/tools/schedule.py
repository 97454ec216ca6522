"""Being asked something later."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from ocg.agent.schedules import Schedules
from ocg.agent.tools.base import Place
from ocg.agent.tools.time import say
from ocg.agent.zones import zone_of
from ocg.protocol import wire
from ocg.protocol.approvals import Decision
from ocg.protocol.schedules import Schedule, ScheduleRequest

_WHEN = "`in 20m`, `at 2026-12-01 09:00`, `every 2h`, or cron's five fields: `0 8 * * 1-5`"
_MOST_SHOWN = 50
_SHOWN_CHARS = 200


class ScheduleArguments(msgspec.Struct, frozen=True):
    """What to do with which; what `add` takes beyond that is checked there."""

    action: Literal["add", "list", "remove"]
    name: Annotated[str, msgspec.Meta(description="a short name without spaces, to add or remove")] = ""
    when: Annotated[str, msgspec.Meta(description=_WHEN)] = ""
    message: Annotated[str, msgspec.Meta(description="what you will be asked then")] = ""
    zone: Annotated[str, msgspec.Meta(description="an IANA time zone; the user's own when empty")] = ""


class ScheduleTool:
    """See Tool. Adding the same again changes nothing, and what was removed is not there."""

    name = "schedule"
    description = "Have yourself asked something later, once or again and again; list or remove what is scheduled."
    default: Decision = "allow"
    arguments = ScheduleArguments
    timeout_s = 10.0
    is_repeatable = True
    is_outside = False

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def run(self, arguments: ScheduleArguments, place: Place) -> str:
        """Do it, and say what stands now. What is asked for in a channel is answered there."""
        match arguments.action:
            case "add":
                given = {key: getattr(arguments, key) for key in ("name", "when", "message", "zone")}
                request = wire.convert(ScheduleRequest, given, where="add")
                request = msgspec.structs.replace(request, reply_to=place.turn.reply_to)
                return f"scheduled {_said(await self._schedules.add(request))}"
            case "remove":
                await self._schedules.remove(arguments.name)
                return f"removed {arguments.name}"
            case "list":
                found = (await self._schedules.list()).schedules
                return "\n".join(map(_said, found[:_MOST_SHOWN])) or "nothing is scheduled"


def _said(one: Schedule) -> str:
    if one.next_at is None:
        state = "is over"
    elif one.is_paused:
        state = "is paused"
    else:
        state = f"next on {say(dt.datetime.fromtimestamp(one.next_at, zone_of(one.zone)))}"
    return f"{one.name} ({one.when}, {state}): {one.message[:_SHOWN_CHARS]}"

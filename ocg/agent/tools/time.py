"""The time, which no model knows."""

import datetime as dt
from typing import Annotated

import msgspec

from ocg.agent.tools.base import Place
from ocg.agent.zones import zone_of
from ocg.protocol.approvals import Decision


class TimeArguments(msgspec.Struct, frozen=True):
    """Where."""

    zone: Annotated[
        str, msgspec.Meta(description="an IANA time zone such as Europe/Paris; the user's own when empty")
    ] = ""


class TimeTool:
    """See Tool."""

    name = "time"
    description = "Tell the date and time."
    default: Decision = "allow"
    arguments = TimeArguments
    timeout_s = 5.0
    is_repeatable = True
    is_outside = False

    async def run(self, arguments: TimeArguments, place: Place) -> str:  # noqa: ARG002 - Tool's signature
        """Say date and time in a zone."""
        return say(dt.datetime.now(zone_of(arguments.zone)))


def say(moment: dt.datetime) -> str:
    """Write a moment out for a model: weekday, date, time and zone."""
    return f"{moment:%A, %Y-%m-%d %H:%M} ({moment.tzname()}, UTC{moment:%z})"

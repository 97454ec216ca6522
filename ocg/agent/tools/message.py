"""Sending a message to a channel while a turn runs."""

from typing import Annotated

import msgspec

from ocg.agent.deliveries import Deliveries
from ocg.agent.tools.base import Place
from ocg.protocol.approvals import Decision


class MessageArguments(msgspec.Struct, frozen=True):
    """What to send, and where."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1 << 14, description="what is sent")]
    channel: Annotated[
        str, msgspec.Meta(max_length=128, description="the channel, such as telegram; empty: where the user last wrote")
    ] = ""
    address: Annotated[
        str, msgspec.Meta(max_length=1024, description="the address there; empty: where the user last wrote")
    ] = ""


class MessageTool:
    """See Tool. It is put into the outbox once, however often the call is made again."""

    name = "message"
    description = "Send the user a message by a channel, beside your answer, such as when something long is done."
    default: Decision = "ask"
    arguments = MessageArguments
    timeout_s = 10.0
    is_repeatable = True
    is_outside = False

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def run(self, arguments: MessageArguments, place: Place) -> str:
        """Put it into the outbox."""
        to = (arguments.channel, arguments.address)
        found = await self._deliveries.send(place.turn, place.call_id, arguments.text, to)
        hours = max(round(found.expires_s / 3600), 1)
        return f"it waits for {found.channel} to deliver it to {found.address}, for {hours} h at the most"

"""Channels as programs speak for them: answers that wait for one, taken, delivered and settled."""

from typing import Annotated

import msgspec

from ocg.protocol.client import Client
from ocg.protocol.messages import Changed, DeliveryFailed, DeliveryList
from ocg.protocol.struct import Struct

MAX_WAIT_S = 30


class Channel(Struct, frozen=True):
    """A channel that answers wait for: how many, and since when the oldest does (Unix time)."""

    name: str
    waiting: Annotated[int, msgspec.Meta(ge=1)]
    oldest_at: float


class ChannelList(Struct, frozen=True):
    """Channels that answers wait for, by name."""

    channels: tuple[Channel, ...]


class ChannelClient:
    """What is asked of the agent about channels, over a client of it. Names and ids are to be checked before."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> ChannelList:
        """List those that answers wait for."""
        return await self._client.call("GET", "/v1/channels", ChannelList)

    async def take(self, name: str, *, wait_s: int = 0) -> DeliveryList:
        """Take what is due for a channel; without anything, wait for it for up to 30 s."""
        return await self._client.call("POST", f"/v1/channels/{name}/take?wait={wait_s}", DeliveryList)

    async def settle(self, delivery_id: str) -> None:
        """Say that one was delivered. Raises NOT_FOUND."""
        await self._client.call("DELETE", f"/v1/deliveries/{delivery_id}", Changed)

    async def fail(self, delivery_id: str, failed: DeliveryFailed) -> None:
        """Say that one could not be delivered; it is due again later. Raises NOT_FOUND."""
        await self._client.call("POST", f"/v1/deliveries/{delivery_id}/failed", Changed, failed)

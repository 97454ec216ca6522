"""Responses that are kept: the agent has them, since the gateway owns nothing."""

from dataclasses import dataclass

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.chats.turn import wrong
from ocg.gateway.openai.responses.answer import ResponseObject
from ocg.gateway.openai.responses.items import Item, ItemReference, MadeItem
from ocg.gateway.upstream import Agent
from ocg.protocol import wire
from ocg.protocol.messages import Changed
from ocg.protocol.responses import Chain, ItemIds, KeptItems, KeptResponse


@dataclass(frozen=True, slots=True)
class Reader:
    """Who wants to see a response: by name, and whether that one may see those of others."""

    name: str
    sees_all: bool

    def may_see(self, owner: str) -> bool:
        """Whether it is one for this reader's eyes."""
        return self.sees_all or owner == self.name


class Keeping:
    """Keeps responses and finds them again; what somebody may not see is not there."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def keep(self, response: ResponseObject, new: tuple[Item, ...], owner: str) -> None:
        """Have it on the disk, with the items that were new to it."""
        body = KeptResponse(
            owner=owner,
            head=_raw(msgspec.structs.replace(response, output=())),
            input=_raw(new),
            output=_raw(response.output),
            previous_id=response.previous_response_id,
        )
        await self._agent.call("PUT", _path(response.id), Changed, body)

    async def conversation(self, response_id: str, reader: Reader) -> tuple[Item, ...]:
        """Return all items up to the end of a response. Raises PREVIOUS_UNKNOWN, TOO_LARGE."""
        chain = await self._agent.call("GET", f"{_path(response_id)}/chain", Chain)
        if not reader.may_see(chain.owner):
            why = f"previous response {response_id!r} is not kept"
            raise OcgError(Code.PREVIOUS_UNKNOWN, why, "send the whole conversation", param="previous_response_id")
        raws = [raw for link in chain.links for raw in (link.input, link.output)]
        return tuple(item for raw in raws for item in wire.decode(tuple[Item, ...], raw))

    async def resolved(self, items: tuple[Item | ItemReference, ...], reader: Reader) -> tuple[Item, ...]:
        """Put in the place of each reference what it refers to. Raises NOT_FOUND."""
        ids = [one.id for one in items if isinstance(one, ItemReference)]
        known = await self._items(ids, reader) if ids else {}
        return tuple(_known(one, known, at) if isinstance(one, ItemReference) else one for at, one in enumerate(items))

    async def _items(self, ids: list[str], reader: Reader) -> dict[str, Item]:
        if len(ids) > len(set(ids)):  # or a few bytes could become many
            raise wrong("input", "an item is named twice", "name it once")
        body = wire.convert(ItemIds, {"ids": ids}, where="input")
        found = (await self._agent.call("POST", "/v1/responses/items", KeptItems, body)).items
        return {one.id: msgspec.json.decode(one.item, type=Item) for one in found if reader.may_see(one.owner)}

    async def response(self, response_id: str, reader: Reader) -> ResponseObject:
        """Return a response. Raises NOT_FOUND."""
        found = await self._kept(response_id, reader)
        output = wire.decode(tuple[MadeItem, ...], found.output)
        return msgspec.structs.replace(wire.decode(ResponseObject, found.head), output=output)

    async def input_items(self, response_id: str, reader: Reader) -> tuple[Item, ...]:
        """Return the items that were new to a response, the first one first. Raises NOT_FOUND."""
        return wire.decode(tuple[Item, ...], (await self._kept(response_id, reader)).input)

    async def delete(self, response_id: str, reader: Reader) -> None:
        """Delete a response for good. Raises NOT_FOUND."""
        await self._kept(response_id, reader)
        await self._agent.call("DELETE", _path(response_id), Changed)

    async def _kept(self, response_id: str, reader: Reader) -> KeptResponse:
        found = await self._agent.call("GET", _path(response_id), KeptResponse)
        if not reader.may_see(found.owner):
            raise OcgError(Code.NOT_FOUND, f"no response {response_id!r} is kept", "it may be somebody else's")
        return found


def _known(reference: ItemReference, known: dict[str, Item], at: int) -> Item:
    if reference.id not in known:
        why, hint = f"item {reference.id!r} is not kept", "send the item itself"
        raise OcgError(Code.NOT_FOUND, why, hint, param=f"input[{at}].id")
    return known[reference.id]


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(wire.encode(value))


def _path(response_id: str) -> str:
    return f"/v1/responses/{response_id}"

"""Responses that are kept: the agent has them, since the gateway owns nothing."""

import msgspec

from ocg.errors import Code, OcgError
from ocg.gateway.caller import Caller
from ocg.gateway.openai.responses.answer import ResponseObject
from ocg.gateway.openai.responses.items import Item, ItemReference, MadeItem
from ocg.gateway.upstream import Agent
from ocg.protocol import wire
from ocg.protocol.asking import wrong
from ocg.protocol.messages import Changed
from ocg.protocol.responses import Chain, ItemIds, KeptItems, KeptResponse


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

    async def conversation(self, response_id: str, asking: Caller) -> tuple[Item, ...]:
        """Return all items up to the end of a response. Raises PREVIOUS_UNKNOWN, TOO_LARGE."""
        chain = await self._agent.call("GET", f"{_path(response_id)}/chain", Chain)
        if not _may_see(asking, chain.owner):
            why = f"previous response {response_id!r} is not kept"
            raise OcgError(Code.PREVIOUS_UNKNOWN, why, "send the whole conversation", param="previous_response_id")
        raws = [raw for link in chain.links for raw in (link.input, link.output)]
        return tuple(item for raw in raws for item in wire.decode(tuple[Item, ...], raw))

    async def resolved(self, items: tuple[Item | ItemReference, ...], asking: Caller) -> tuple[Item, ...]:
        """Put in the place of each reference what it refers to. Raises NOT_FOUND."""
        ids = [one.id for one in items if isinstance(one, ItemReference)]
        known = await self._items(ids, asking) if ids else {}
        return tuple(_known(one, known, at) if isinstance(one, ItemReference) else one for at, one in enumerate(items))

    async def _items(self, ids: list[str], asking: Caller) -> dict[str, Item]:
        if len(ids) > len(set(ids)):  # or a few bytes could become many
            raise wrong("input", "an item is named twice", "name it once")
        body = wire.convert(ItemIds, {"ids": ids}, where="input")
        found = (await self._agent.call("POST", "/v1/responses/items", KeptItems, body)).items
        return {one.id: msgspec.json.decode(one.item, type=Item) for one in found if _may_see(asking, one.owner)}

    async def response(self, response_id: str, asking: Caller) -> ResponseObject:
        """Return a response. Raises NOT_FOUND."""
        found = await self._kept(response_id, asking)
        output = wire.decode(tuple[MadeItem, ...], found.output)
        return msgspec.structs.replace(wire.decode(ResponseObject, found.head), output=output)

    async def input_items(self, response_id: str, asking: Caller) -> tuple[Item, ...]:
        """Return the items that were new to a response, the first one first. Raises NOT_FOUND."""
        return wire.decode(tuple[Item, ...], (await self._kept(response_id, asking)).input)

    async def delete(self, response_id: str, asking: Caller) -> None:
        """Delete a response for good. Raises NOT_FOUND, or FORBIDDEN for what another token made."""
        if (await self._kept(response_id, asking)).owner != asking.name:
            asking.check("admin", "deleting what another token made")
        await self._agent.call("DELETE", _path(response_id), Changed)

    async def _kept(self, response_id: str, asking: Caller) -> KeptResponse:
        found = await self._agent.call("GET", _path(response_id), KeptResponse)
        if not _may_see(asking, found.owner):
            raise OcgError(Code.NOT_FOUND, f"no response {response_id!r} is kept", "it may be somebody else's")
        return found


def _may_see(asking: Caller, owner: str) -> bool:
    return owner == asking.name or asking.may("read")


def _known(reference: ItemReference, known: dict[str, Item], at: int) -> Item:
    if reference.id not in known:
        why, hint = f"item {reference.id!r} is not kept", "send the item itself"
        raise OcgError(Code.NOT_FOUND, why, hint, param=f"input[{at}].id")
    return known[reference.id]


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(wire.encode(value))


def _path(response_id: str) -> str:
    return f"/v1/responses/{response_id}"

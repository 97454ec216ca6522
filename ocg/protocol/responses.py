"""Responses of OpenAI's Responses API as they are kept: who made them and what they go on from; the rest is JSON."""

from typing import Annotated

import msgspec

from ocg.protocol.messages import Name
from ocg.protocol.struct import Struct

MAX_KEPT_BYTES = 40 << 20  # a request of 16 MiB, and an answer
MAX_NAMED = 1024


class KeptResponse(Struct, frozen=True):
    """A response. `owner` names who may read it; `head` is all of it but its `output`, `input` what was new to it."""

    owner: Annotated[str, msgspec.Meta(max_length=256)]
    head: msgspec.Raw
    input: msgspec.Raw
    output: msgspec.Raw
    previous_id: Name | None = None


class Link(Struct, frozen=True):
    """What one response adds to a conversation: what went in, and what came out."""

    input: msgspec.Raw
    output: msgspec.Raw


class Chain(Struct, frozen=True):
    """The conversation that ends with a response, oldest first; `owner` is that of the last."""

    owner: str
    links: tuple[Link, ...]


class ItemIds(Struct, frozen=True):
    """Items that came out of responses, by id."""

    ids: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_NAMED)]


class KeptItem(Struct, frozen=True):
    """One of them, and whose response it is of."""

    id: str
    owner: str
    item: msgspec.Raw


class KeptItems(Struct, frozen=True):
    """Those of them that are kept."""

    items: tuple[KeptItem, ...]

"""Reading pages of the web."""

from typing import Annotated

import msgspec

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, description="an http or https address")]


class Page(msgspec.Struct, frozen=True):
    """A page, or a part of a long one; this much the model gives."""

    url: Url
    offset: Annotated[int, msgspec.Meta(ge=0, le=1 << 31, description="the first character, from 0")] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=15_000, description="how many characters at the most")] = 12_000


class Fetch(Page, frozen=True, kw_only=True, tag_field="op", tag="fetch"):
    """A page to get. `private` are hosts, addresses and networks that may be reached though they are not public."""

    private: tuple[str, ...] = ()

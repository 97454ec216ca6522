"""The body of a request to count tokens, and of its answer."""

from typing import Annotated

import msgspec

from ocg.protocol.struct import Struct

MAX_TEXTS = 4096


class TokensRequest(Struct, frozen=True):
    """POST /v1/tokens: texts to count with the chat model's tokenizer; an empty one has none."""

    texts: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_TEXTS)]
    model: str = ""


class TokensAnswer(Struct, frozen=True):
    """How many tokens each text takes, in the order of the texts."""

    model: str
    counts: tuple[int, ...]

"""The bodies of requests and answers about who may talk to the gateway, and how often. Times are Unix seconds."""

from typing import Annotated, Literal

import msgspec

from ocg.protocol.struct import Struct

# `chat`: talk to the agent and the models; `read`: see conversations, memories and how things are; `admin`: everything.
Scope = Literal["chat", "read", "admin"]
# No full stop: what stands before the first one in a session's name is the token's whose session it is.
TokenName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")]
_ID = r"[A-Za-z0-9._@-]{1,128}"
LimitKey = Annotated[
    str,
    msgspec.Meta(
        max_length=256, pattern=rf"^(?:(?:token|channel|sender):\*|(?:token|channel):{_ID}|sender:{_ID}:[\x21-\x7e]+)\Z"
    ),
]


class TokenRequest(Struct, frozen=True):
    """POST /v1/tokens: make a token; without `expires_days` it never expires."""

    name: TokenName
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=3)] = ("chat",)
    expires_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] | None = None


class TokenItem(Struct, frozen=True):
    """What is known of a token; the token itself is not."""

    name: str
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None


class TokenList(Struct, frozen=True):
    """The tokens, the oldest first."""

    tokens: tuple[TokenItem, ...]


class TokenMade(TokenItem, frozen=True, kw_only=True):
    """A new token, which is shown this once."""

    token: str


class RateLimit(Struct, frozen=True):
    """How often somebody may ask, such as 60/min.

    `token:laptop`, `channel:telegram` or `sender:telegram:123` is one; with `*` it is each that has no line of its own.
    """

    key: LimitKey
    rate: Annotated[str, msgspec.Meta(max_length=32)]


class RateLimitList(Struct, frozen=True):
    """The rate limits, by their keys."""

    limits: tuple[RateLimit, ...]

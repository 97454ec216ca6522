"""What the owner says of who may talk, and how often: tokens and rate limits."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ocg.errors import Code
from ocg.gateway.limits import Limits
from ocg.gateway.rate import Rate
from ocg.gateway.tokens import Tokens
from ocg.lifecycle import answers
from ocg.lifecycle.endpoints import Endpoint
from ocg.protocol.access import (
    LimitKey,
    RateLimit,
    RateLimitList,
    TokenList,
    TokenMade,
    TokenName,
    TokenRequest,
)
from ocg.protocol.messages import Changed

_BODY_BYTES = 4096
_CHANGED = Changed(count=1)
_UNSAVED = (Code.DISK_FULL, Code.CONFIG_INVALID)


class AccessRoutes:
    """/v1/tokens and /v1/ratelimits."""

    def __init__(self, tokens: Tokens, limits: Limits) -> None:
        self._tokens = tokens
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """List them."""
        shared = partial(Endpoint, scope="admin", tag="Access")
        added = (Code.CONFLICT, *_UNSAVED)
        one = partial(shared, method="DELETE", gives=Changed, errors=(Code.NOT_FOUND, *_UNSAVED))
        return (
            shared("GET", "/v1/tokens", "List the named tokens", self.tokens, TokenList),
            shared(
                "POST", "/v1/tokens", "Make a named token", self.create_token, TokenMade,
                takes=TokenRequest, errors=added,
            ),
            one(path="/v1/tokens/{name}", summary="Revoke a token", handler=self.revoke_token, named=TokenName),
            shared("GET", "/v1/ratelimits", "List the rate limits", self.limits, RateLimitList),
            shared(
                "POST", "/v1/ratelimits", "Set a rate limit", self.set_limit, RateLimit, takes=RateLimit, errors=added
            ),
            one(path="/v1/ratelimits/{key:any}", summary="Lift a rate limit", handler=self.lift_limit, named=LimitKey),
        )  # fmt: skip

    async def tokens(self, _: Request) -> Response:
        """List the tokens."""
        return answers.answer(TokenList(tokens=self._tokens.items()))

    async def create_token(self, request: Request) -> Response:
        """Make a token."""
        asked = await answers.read(request, TokenRequest, limit_bytes=_BODY_BYTES)
        return answers.answer(await self._tokens.create(asked))

    async def revoke_token(self, request: Request) -> Response:
        """Revoke a token."""
        await self._tokens.revoke(request.path_params["name"])
        return answers.answer(_CHANGED)

    async def limits(self, _: Request) -> Response:
        """List the limits."""
        return answers.answer(RateLimitList(limits=self._limits.items()))

    async def set_limit(self, request: Request) -> Response:
        """Set a limit."""
        asked = await answers.read(request, RateLimit, limit_bytes=_BODY_BYTES)
        rate = Rate.read(asked.rate)
        await self._limits.put(asked.key, rate)
        return answers.answer(RateLimit(key=asked.key, rate=str(rate)))

    async def lift_limit(self, request: Request) -> Response:
        """Lift a limit."""
        await self._limits.remove(request.path_params["key"])
        return answers.answer(_CHANGED)

"""A caller's visit: it ends when its token does, and its answers say how much of the rate limit is left."""

import math
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocg.errors import Code, OcgError
from ocg.gateway import caller
from ocg.gateway.caller import Caller
from ocg.gateway.dialects import render
from ocg.gateway.limits import Verdict
from ocg.gateway.shares import Shares
from ocg.gateway.tokens import Tokens
from ocg.lifecycle.connection import BREAK
from ocg.lifecycle.guests import Guests
from ocg.lifecycle.stream import gone

# Where a gate puts what the limits said, in an ASGI scope.
VERDICT = "ocg.verdict"
# What the bodies of all requests that are being answered may take: each is in memory, some of them more than once.
BODIES_BYTES = 256 << 20
_POLICY_VIOLATION = 1008


class Admission:
    """Stands between the guard, which says who asks, and the application."""

    def __init__(self, app: ASGIApp, tokens: Tokens, *, places: Shares, bodies: Shares, guests: Guests) -> None:
        self._app = app
        self._tokens = tokens
        self._places = places
        self._bodies = bodies
        self._guests = guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until it is done, or the token has expired or was revoked; not at all where there is no place left."""
        if (found := caller.of(scope)) is None:
            await self._app(scope, receive, send)
            return
        with self._guests.at_work(scope.get("client")), self._places.open(found) as take:
            try:
                take(1)
            except OcgError as error:
                await render(scope, error)(scope, receive, send)
                return
            await self._serve(found, scope, receive, send)

    async def _serve(self, found: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, receive, send)
        with self._bodies.open(found) as take_bytes, self._tokens.visit(found) as visit:
            try:
                async with visit:
                    await self._app(scope, _counted(receive, take_bytes), answer.send)
            except TimeoutError:
                if not visit.expired():
                    raise
                await answer.end()


def _counted(receive: Receive, take_bytes: Callable[[int], None]) -> Receive:
    """Take what comes of a body from its caller's share. Raises BUSY, to be written in the dialect of the path."""

    async def counted() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            take_bytes(len(message.get("body", b"")))
        return message

    return counted


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_begun = False
        self._is_over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and (verdict := self._scope.get(VERDICT)) is not None:
            MutableHeaders(scope=message).update(headers(verdict))
        self._has_begun = True
        self._is_over = message["type"] == "websocket.close" or (
            message["type"] == "http.response.body" and not message.get("more_body", False)
        )
        await self._send(message)

    async def end(self) -> None:
        """Break it off: with a reason, where there is still room for one."""
        reason = "the token was revoked, or has expired"
        if self._is_over:
            return
        if not self._has_begun:
            error = OcgError(Code.UNAUTHORIZED, reason, "ask the owner of this OCG for another")
            await render(self._scope, error)(self._scope, self._receive, self._send)
        elif self._scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        else:
            self._scope["extensions"][BREAK]["now"]()  # a proper end would make it look whole
            await gone(self._receive)


def headers(verdict: Verdict) -> dict[str, str]:
    """Say how a caller stands: by the IETF's draft-ietf-httpapi-ratelimit-headers-11, and as OpenAI's clients read it.

    In the draft's fields a key is a string of RFC 9651; a token's has no character that would have to be escaped.
    """
    one = verdict.tightest
    if one is None:
        return {}
    found = {
        "RateLimit-Policy": ", ".join(
            f'"{each.key}";q={each.rate.count};w={each.rate.window_s}' for each in verdict.standings
        ),
        "RateLimit": ", ".join(f'"{each.key}";r={each.left};t={math.ceil(each.more_s)}' for each in verdict.standings),
        "x-ratelimit-limit-requests": str(one.rate.count),
        "x-ratelimit-remaining-requests": str(one.left),
        "x-ratelimit-reset-requests": f"{math.ceil(one.all_s)}s",
    }
    is_worth_waiting = 0 < verdict.wait_s < math.inf
    return found | ({"Retry-After": str(math.ceil(verdict.wait_s))} if is_worth_waiting else {})

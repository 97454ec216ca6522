"""The wire of every API that streams its answers: a request out, events in, tried again while nothing was shown."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.base import Piece
from ocg.agent.providers.refusal import Passing, Refusal
from ocg.errors import Code, OcgError
from ocg.protocol import sse, wire

if TYPE_CHECKING:
    import aiohttp

SILENCE_S = 60.0
CONNECT_TIMEOUT_S = 10.0
_ATTEMPTS = 3
_MAX_DELAY_S = 30.0
MAX_ERROR_BYTES = 16384
_ERROR_TIMEOUT_S = 10.0
_SLOWEST_BYTES_S = 50_000  # at which a request is still sent

Explain = Callable[[int, str, bytes], Refusal]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; both may hold a secret."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Assembling(Protocol):
    """Puts one stream of a dialect together."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read."""

    def take(self, event: bytes) -> Iterable[Piece]:
        """Take an event's data; give what it adds to show. Raises Passing or OcgError."""

    def end(self) -> Iterable[Piece]:
        """Give what was held back, and the Reply last. Raises Passing when the stream broke off."""


class Transport:
    """An API that streams: `locate` says where it is now, `assemble` begins an answer, `explain` reads its errors."""

    def __init__(
        self,
        name: str,
        locate: Callable[[], Target],
        assemble: Callable[[], Assembling],
        explain: Explain,
        *,
        hint: str,
        first_silence_s: float = SILENCE_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._name = name
        self._locate = locate
        self._assemble = assemble
        self._explain = explain
        self._hint = hint
        self._first_silence_s = first_silence_s
        self._silence_s = silence_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def reply(self, body: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Give the answer's pieces as they come and the whole at its end; see Provider for what it raises."""
        data = wire.encode(body)
        for attempt in range(_ATTEMPTS):
            try:
                async with aclosing(self._once(data)) as pieces:
                    async for piece in pieces:
                        yield piece
                return  # noqa: TRY300 - the loop's end is the failure
            except Passing as passing:
                delay_s = _delay_s(attempt, passing.after_s)
                if attempt == _ATTEMPTS - 1 or delay_s > _MAX_DELAY_S:
                    raise passing.error from None
                await asyncio.sleep(delay_s)

    async def _once(self, data: bytes) -> AsyncGenerator[Piece, None]:
        """Do it once. Raises Passing as long as nothing of an answer was shown."""
        assembly, is_shown = self._assemble(), False
        try:
            async with aclosing(self._events(data)) as events:
                async for event in events:
                    for piece in assembly.take(event):
                        is_shown = True
                        yield piece
                    if assembly.is_over:
                        break
            for piece in assembly.end():
                is_shown = True
                yield piece
        except Passing as passing:
            if is_shown:
                raise passing.error from None
            raise
        except OcgError as error:
            # A shorter prompt would answer anew what was shown in part.
            if is_shown and error.code is Code.CONTEXT_LENGTH:
                raise OcgError(Code.PROVIDER, error.message, error.hint) from None
            raise

    async def _events(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """Give the data of the answer's events; what the connection does wrong becomes an OcgError."""
        await load_aiohttp()
        import aiohttp  # noqa: PLC0415 - slow to import; loaded by now

        try:
            async with asyncio.timeout(self._first_silence_s + len(data) / _SLOWEST_BYTES_S):
                asked = await self._post(data)
            async with asked as response:
                await self._check(response)
                async with aclosing(sse.data_of(response.content.iter_any())) as events:
                    silence_s = self._first_silence_s
                    while True:
                        # A comment keeps a connection alive and says nothing: only data ends a silence.
                        async with asyncio.timeout(silence_s):
                            event = await anext(events, None)
                        if event is None:
                            return
                        silence_s = self._silence_s
                        yield event
        except TimeoutError:
            raise OcgError(
                Code.TIMEOUT, f"{self._name} was silent for too long", "ask again, or ask for less"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise Passing(OcgError(Code.UNAVAILABLE, unreached(self._name, error), self._hint)) from None
        except aiohttp.ClientError as error:
            # Its text may hold the URL, and that a password.
            raise Passing(
                OcgError(Code.PROVIDER, f"{self._name} broke off: {type(error).__name__}", "ask again")
            ) from None

    def _post(self, data: bytes) -> "aiohttp.client._RequestContextManager":
        import aiohttp  # noqa: PLC0415 - as above

        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        where = self._locate()
        return self._session.post(
            where.url,
            data=data,
            headers={"Content-Type": wire.JSON, **where.headers},
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=max(self._first_silence_s, self._silence_s)
            ),
            allow_redirects=False,
        )

    async def _check(self, response: "aiohttp.ClientResponse") -> None:
        """Raise for an answer that is an error."""
        if response.status == 200:  # noqa: PLR2004 - HTTP's
            return
        said = await beginning(response, MAX_ERROR_BYTES)
        refusal = self._explain(response.status, response.headers.get("Retry-After", ""), said)
        if refusal.is_passing:
            raise Passing(refusal.error, refusal.after_s)
        raise refusal.error


async def beginning(response: "aiohttp.ClientResponse", limit: int) -> bytes:
    """Read a body up to so many bytes, in however many pieces it comes."""
    body = bytearray()
    async with asyncio.timeout(_ERROR_TIMEOUT_S):
        async for piece in response.content.iter_any():
            body += piece
            if len(body) >= limit:
                break
    return bytes(body[:limit])


def bearer(token: str) -> dict[str, str]:
    """Return the header that most APIs take a key in; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def unreached(name: str, error: "aiohttp.ClientConnectorError") -> str:
    """Say that nobody can be reached, and why."""
    number = error.os_error.errno
    # asyncio puts the address into strerror; a name that does not resolve has a number below 1.
    why = os.strerror(number) if number and number > 0 else error.os_error.strerror or "no such host"
    return f"{name} cannot be reached: {why}"


def _delay_s(attempt: int, after_s: float | None) -> float:
    """How long to wait: what the provider asks for, or a doubling time; with jitter."""
    base = after_s if after_s is not None else 0.25 * 2.0**attempt
    return base + random.uniform(0, 0.25)  # noqa: S311 - jitter

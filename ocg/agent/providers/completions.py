"""The wire of every OpenAI-compatible chat: a request out, a stream in, tried again while nothing was seen of it."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from ocg.agent.imports import load_aiohttp
from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import PromptMessage, Reply, ToolSpec
from ocg.agent.providers.refusal import Refusal
from ocg.errors import Code, OcgError
from ocg.protocol import sse, wire
from ocg.protocol.address import Address

if TYPE_CHECKING:
    import aiohttp

SILENCE_S = 60.0
_CONNECT_TIMEOUT_S = 10.0
_ATTEMPTS = 3
_MAX_DELAY_S = 30.0
_MAX_ERROR_BYTES = 16384

Explain = Callable[[int, str, bytes], Refusal]


class _Passing(Exception):  # noqa: N818 - no error yet
    """The request may be tried again, after so many seconds."""

    def __init__(self, error: OcgError, after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


class Completions:
    """A chat completions API: `locate` says where it is now and with which key, `explain` what its errors mean."""

    def __init__(
        self,
        name: str,
        locate: Callable[[], Address],
        explain: Explain,
        *,
        hint: str,
        first_silence_s: float = SILENCE_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._name = name
        self._locate = locate
        self._explain = explain
        self._hint = hint
        self._first_silence_s = first_silence_s
        self._silence_s = silence_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def reply(self, body: dict[str, Any]) -> AsyncGenerator[str | Reply, None]:
        """Give the answer's text as it comes and the whole at its end; see Provider for what it raises."""
        data = wire.encode(body)
        for attempt in range(_ATTEMPTS):
            try:
                async with aclosing(self._once(data)) as pieces:
                    async for piece in pieces:
                        yield piece
                return  # noqa: TRY300 - the loop's end is the failure
            except _Passing as passing:
                delay_s = _delay_s(attempt, passing.after_s)
                if attempt == _ATTEMPTS - 1 or delay_s > _MAX_DELAY_S:
                    raise passing.error from None
                await asyncio.sleep(delay_s)

    async def _once(self, data: bytes) -> AsyncGenerator[str | Reply, None]:
        """Do it once. Raises _Passing as long as nothing of an answer was seen."""
        assembly = Assembly(self._name)
        try:
            async with aclosing(self._events(data)) as events:
                async for event in events:
                    if event == b"[DONE]":
                        assembly.is_done = True
                        break
                    if added := assembly.take(event):
                        yield added
            self._check_begun(assembly)
        except _Passing as passing:
            if assembly.has_begun:
                raise passing.error from None
            raise
        yield assembly.reply()

    def _check_begun(self, assembly: Assembly) -> None:
        if not (assembly.is_done or assembly.has_begun):
            raise _Passing(OcgError(Code.PROVIDER, f"{self._name} answered with nothing", self._hint))

    async def _events(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """Give the data of the answer's events; what the connection does wrong becomes an OcgError."""
        await load_aiohttp()
        import aiohttp  # noqa: PLC0415 - slow to import; loaded by now

        try:
            async with self._post(data) as response:
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
            number = error.os_error.errno
            # asyncio puts the address into strerror; a name that does not resolve has a number below 1.
            why = os.strerror(number) if number and number > 0 else error.os_error.strerror or "no such host"
            raise _Passing(OcgError(Code.UNAVAILABLE, f"{self._name} cannot be reached: {why}", self._hint)) from None
        except aiohttp.ClientError as error:
            # Its text may hold the URL, and that a password.
            raise _Passing(
                OcgError(Code.PROVIDER, f"{self._name} broke off: {type(error).__name__}", "ask again")
            ) from None

    def _post(self, data: bytes) -> "aiohttp.client._RequestContextManager":
        import aiohttp  # noqa: PLC0415 - as above

        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        where = self._locate()
        headers = {"Content-Type": wire.JSON} | ({"Authorization": f"Bearer {where.token}"} if where.token else {})
        return self._session.post(
            f"{where.url}/chat/completions",
            data=data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=max(self._first_silence_s, self._silence_s)
            ),
            allow_redirects=False,
        )

    async def _check(self, response: "aiohttp.ClientResponse") -> None:
        """Raise for an answer that is an error."""
        if response.status == 200:  # noqa: PLR2004 - HTTP's
            return
        said = await response.content.read(_MAX_ERROR_BYTES)
        refusal = self._explain(response.status, response.headers.get("Retry-After", ""), said)
        if refusal.is_passing:
            raise _Passing(refusal.error, refusal.after_s)
        raise refusal.error


def request_body(
    model: str, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], *, max_tokens: int
) -> dict[str, Any]:
    """Write a request as OpenAI has it; a model without a name is the server's own choice."""
    body: dict[str, Any] = {
        "messages": [_message(one) for one in messages],
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if model:
        body["model"] = model
    if tools:
        body["tools"] = [{"type": "function", "function": _tool(one)} for one in tools]
    return body


def _delay_s(attempt: int, after_s: float | None) -> float:
    """How long to wait: what the provider asks for, or a doubling time; with jitter."""
    base = after_s if after_s is not None else 0.25 * 2.0**attempt
    return base + random.uniform(0, 0.25)  # noqa: S311 - jitter


def _message(one: PromptMessage) -> dict[str, Any]:
    made: dict[str, Any] = {"role": one.role, "content": one.content}
    if one.tool_call_id is not None:
        made["tool_call_id"] = one.tool_call_id
    if one.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _valid(call.arguments)}}
            for call in one.tool_calls
        ]
    return made


def _valid(arguments: str) -> str:
    """Return arguments as they are, or none at all: a server that reads them refuses broken ones for ever."""
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.DecodeError:
        return "{}"
    return arguments


def _tool(one: ToolSpec) -> dict[str, Any]:
    return {"name": one.name, "description": one.description, "parameters": one.parameters}

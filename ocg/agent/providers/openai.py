"""Any OpenAI-compatible chat completions API; ocg-embedding's own is one of them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import PromptMessage, Reply, ToolSpec
from ocg.errors import Code, OcgError
from ocg.protocol import sse, wire
from ocg.protocol.address import Address

if TYPE_CHECKING:
    import aiohttp

_CONNECT_TIMEOUT_S = 10.0
_SILENCE_S = 60.0
_ATTEMPTS = 3
_MAX_DELAY_S = 10.0
_MAX_ERROR_BYTES = 16384
_RETRIED = frozenset({429, 500, 502, 503, 504, 529})
_HINTS = {
    401: "set OCG_API_KEY to a valid key",
    403: "set OCG_API_KEY to a key that may use this model",
    404: "check OCG_BASE_URL and OCG_MODEL",
    429: "wait, or raise the limit at the provider",
}


class _Retry(Exception):  # noqa: N818 - no error yet
    """The request may be tried again, after so many seconds."""

    def __init__(self, error: OcgError, after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


class OpenAIProvider:
    """Speaks to whatever `locate` says is there now: the base URL up to `/v1`, and the key."""

    def __init__(
        self,
        name: str,
        locate: Callable[[], Address],
        *,
        model: str,
        context_tokens: int,
        takes_tools: bool = True,
        hint: str = "check OCG_BASE_URL",
    ) -> None:
        self.name = name
        self.model = model
        self.takes_tools = takes_tools
        self._locate = locate
        self._context_tokens = context_tokens
        self._hint = hint
        self._session: aiohttp.ClientSession | None = None

    async def context_tokens(self) -> int:
        """See Provider."""
        return self._context_tokens

    async def close(self) -> None:
        """See Provider."""
        if self._session is not None:
            await self._session.close()

    async def reply(
        self, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], *, max_tokens: int
    ) -> AsyncIterator[str | Reply]:
        """See Provider. Tried again only as long as nothing of the answer was seen."""
        body = self._body(messages, tools, max_tokens)
        for attempt in range(_ATTEMPTS):
            try:
                async for piece in self._once(body):
                    yield piece
                return  # noqa: TRY300 - the loop's end is the failure
            except _Retry as retry:
                if attempt == _ATTEMPTS - 1:
                    raise retry.error from None
                await asyncio.sleep(_delay_s(attempt, retry.after_s))

    def _body(self, messages: Sequence[PromptMessage], tools: Sequence[ToolSpec], max_tokens: int) -> bytes:
        body: dict[str, Any] = {
            "messages": [_message(one) for one in messages],
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.model:
            body["model"] = self.model
        if tools:
            body["tools"] = [{"type": "function", "function": _tool(one)} for one in tools]
        return wire.encode(body)

    async def _once(self, body: bytes) -> AsyncIterator[str | Reply]:
        import aiohttp  # noqa: PLC0415 - 0.2 s; the service imports it beside its start

        if self._session is None:
            self._session = aiohttp.ClientSession()
        where, seen = self._locate(), False
        headers = {"Content-Type": wire.JSON} | ({"Authorization": f"Bearer {where.token}"} if where.token else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_SILENCE_S)
        assembly = Assembly(self.name)
        try:
            async with self._session.post(
                f"{where.url}/chat/completions", data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                await self._check(response)
                async for data in sse.data_of(response.content.iter_any()):
                    if added := assembly.take(data):
                        seen = True
                        yield added
        except TimeoutError:
            error = OcgError(Code.TIMEOUT, f"{self.name} said nothing for {_SILENCE_S:g} s", "ask again")
            raise (error if seen else _Retry(error)) from None
        except aiohttp.ClientError as cause:
            what = "was cut off" if seen else "cannot be reached"
            error = OcgError(Code.PROVIDER if seen else Code.UNAVAILABLE, f"{self.name} {what}: {cause}", self._hint)
            raise (error if seen else _Retry(error)) from None
        yield assembly.reply()

    async def _check(self, response: "aiohttp.ClientResponse") -> None:
        """Raise for an answer that is an error; what the provider said is in it, our key never is."""
        if response.status < 300:  # noqa: PLR2004 - HTTP's classes
            return
        said = wire.read_error(response.status, await response.content.read(_MAX_ERROR_BYTES))
        if said.code is Code.CONTEXT_LENGTH:
            raise said
        message = said.message if said.message.startswith("HTTP") else f"HTTP {response.status}: {said.message}"
        hint = said.hint or _HINTS.get(response.status, "see the provider's status")
        error = OcgError(Code.PROVIDER, f"{self.name}: {message}", hint)
        if response.status not in _RETRIED:
            raise error
        after = response.headers.get("Retry-After", "")
        raise _Retry(error, float(after) if after.isdecimal() else None)


def _delay_s(attempt: int, after_s: float | None) -> float:
    """How long to wait: what the provider asks for, within bounds, or a doubling time with jitter."""
    base = after_s if after_s is not None else 0.25 * 2.0**attempt
    return float(min(base, _MAX_DELAY_S)) + random.uniform(0, 0.25)  # noqa: S311 - jitter


def _message(one: PromptMessage) -> dict[str, Any]:
    made: dict[str, Any] = {"role": one.role, "content": one.content}
    if one.tool_call_id is not None:
        made["tool_call_id"] = one.tool_call_id
    if one.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in one.tool_calls
        ]
    return made


def _tool(one: ToolSpec) -> dict[str, Any]:
    return {"name": one.name, "description": one.description, "parameters": one.parameters}

"""Servers over HTTP: the SDK speaks to them from the agent's own process, where the headers' secrets stay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from ocg.agent.mcp.entry import Entry

_MAX_BODY_BYTES = 4 << 20
_ANSWER_S = 30.0
_SILENCE_S = 300.0
_FAREWELL_S = 1.0


@asynccontextmanager
async def http(entry: Entry) -> AsyncIterator[Any]:
    """Give the streams of a Streamable HTTP server. Redirects are followed within its origin alone, by the SDK."""
    timeout = httpx2.Timeout(_ANSWER_S, read=_SILENCE_S)
    async with (
        _client(entry.headers, timeout) as client,
        streamable_http_client(entry.url, http_client=client, max_sse_event_size=_MAX_BODY_BYTES) as streams,
    ):
        yield streams


@asynccontextmanager
async def sse(entry: Entry) -> AsyncIterator[Any]:
    """Give the streams of a server that speaks HTTP with SSE, as they did until 2025."""
    headers = dict(entry.headers)
    async with sse_client(entry.url, headers, _ANSWER_S, _SILENCE_S, httpx_client_factory=_client) as streams:
        yield streams


def _client(
    headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
) -> httpx2.AsyncClient:
    # Without compression a body is as long as what is counted.
    plain = {**(headers or {}), "Accept-Encoding": "identity"}
    hooks: dict[str, list[Any]] = {"request": [_hurry], "response": [_bound]}
    return httpx2.AsyncClient(headers=plain, timeout=timeout, auth=auth, event_hooks=hooks)


async def _hurry(request: httpx2.Request) -> None:
    """Bound the SDK's farewell, for which whoever ends a session waits."""
    if request.method == "DELETE":
        request.extensions["timeout"] = httpx2.Timeout(_FAREWELL_S).as_dict()


async def _bound(response: httpx2.Response) -> None:
    """Bound a body; an event of a stream is bounded by the SDK."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.DecodingError("it compresses its answers unasked", request=response.request)
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A body that may not be longer than 4 MiB."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > _MAX_BODY_BYTES:
                raise httpx2.StreamError(f"an answer of more than {_MAX_BODY_BYTES >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

"""Work that somebody waits for: answers and streams that end when the client goes."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocg.protocol import sse

T = TypeVar("T")


class EventStream(Response):
    """Server-sent events out of a generator, which is closed in every case: at its end, or when the client has gone."""

    media_type = sse.CONTENT_TYPE

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self.status_code = 200
        self.background = None
        self._chunks = chunks
        # nginx would hold a stream back.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send what comes until it ends or nobody listens."""
        async with aclosing(self._chunks):
            await first_of(self._send(send), gone(receive))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def while_listening(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work for as long as the client waits for it; when it has gone, cancel it and raise ClientDisconnect.

    The request's body must have been read.
    """
    result = await first_of(work, gone(request.receive))
    if result is None:
        raise ClientDisconnect
    return result


async def gone(receive: Receive) -> None:
    """Wait until the client has gone, or has had its answer; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def first_of(work: Coroutine[Any, Any, T], other: Coroutine[Any, Any, None]) -> T | None:
    """Run both until one is done, then neither; return what the work gave, or None when it was not done in time."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(other)
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)

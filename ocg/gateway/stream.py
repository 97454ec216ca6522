"""Answers that come as a stream: kept alive through silence, ended when the client goes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ocg.protocol import sse

T = TypeVar("T")

# Proxies and clients give up on a silent stream after 30 s and more.
HEARTBEAT_S = 15.0
HEARTBEAT = b":\n\n"


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
            await _first_of(self._send(send), _gone(receive))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def while_listening(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work for as long as the client waits for it; when it has gone, cancel it and raise ClientDisconnect.

    The request's body must have been read.
    """
    result = await _first_of(work, _gone(request.receive))
    if result is None:
        raise ClientDisconnect
    return result


async def with_heartbeats(
    source: AsyncGenerator[T, None], *, every_s: float = HEARTBEAT_S
) -> AsyncGenerator[T | None, None]:
    """Give what comes, and None after each silence; closes the source at its own end."""
    async with aclosing(source):
        while True:
            coming = asyncio.ensure_future(_next(source))
            try:
                while not (await asyncio.wait({coming}, timeout=every_s))[0]:
                    yield None
            finally:
                await _cancelled(coming)
            found = coming.result()
            if found is None:
                return
            yield found


async def _next(source: AsyncIterator[T]) -> T | None:
    """Return what comes next, or None at the end: a task cannot raise StopAsyncIteration."""
    return await anext(source, None)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(work: Coroutine[Any, Any, T], other: Coroutine[Any, Any, None]) -> T | None:
    """Run both until one is done; return what the work gave, or None when it was not done in time."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(other)
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await _cancelled(working, waiting)


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait for their end, so that nothing of theirs runs on."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

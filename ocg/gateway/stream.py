"""Streams kept alive through silence."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

# Proxies and clients give up on a silent stream after 30 s and more.
HEARTBEAT_S = 15.0
HEARTBEAT = b":\n\n"


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
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            found = coming.result()
            if found is None:
                return
            yield found


async def _next(source: AsyncIterator[T]) -> T | None:
    """Return what comes next, or None at the end: a task cannot raise StopAsyncIteration."""
    return await anext(source, None)

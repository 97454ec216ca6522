"""What goes on beside requests, as long as the agent runs."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def jobs(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have jobs done; leaving the block ends them, the last one first."""
    async with AsyncExitStack() as owned:
        for job in jobs:
            owned.push_async_callback(_ended, asyncio.create_task(job))
        yield


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

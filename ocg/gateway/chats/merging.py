"""Several answers at once, in one stream."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from ocg.gateway.chats.pieces import Piece

T = TypeVar("T")
_Pieces = AsyncGenerator[Piece, None]


async def merged(answers: Sequence[_Pieces]) -> AsyncGenerator[tuple[int, Piece], None]:
    """Give each answer's pieces with its index, as they come. Raises what the first to fail raises; closes all."""
    waiting = {asyncio.ensure_future(_next(one)): index for index, one in enumerate(answers)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index = waiting.pop(task)
                if (piece := task.result()) is not None:
                    yield index, piece
                    waiting[asyncio.ensure_future(_next(answers[index]))] = index
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for one in answers:
            await one.aclose()


async def together(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do jobs at once and return what they give, in their order; when one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(pieces: _Pieces) -> Piece | None:
    """Return what comes next, or None at the end: a task cannot raise StopAsyncIteration."""
    return await anext(pieces, None)

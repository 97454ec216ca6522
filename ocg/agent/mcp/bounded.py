"""What a server says, without what has so many parts that the SDK would take all time and memory to refuse it.

The SDK's models keep a dozen errors for each part that is none of theirs, in the event loop: 4 MiB of such parts took
11 s and 4 GB.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import mcp_types as types
from mcp.shared.message import SessionMessage

_MAX_PARTS = 20_000


@asynccontextmanager
async def bounded(transport: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Give a transport's streams, the one that is read bounded."""
    async with transport as (read, write):
        yield Bounded(read), write


class Bounded:
    """A stream of messages as the SDK reads it; an answer with too many parts becomes an error, all else is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def last_context(self) -> Any:
        """In what context the last message was sent, where the stream knows that."""
        return getattr(self._stream, "last_context", None)

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stream.__aexit__(*error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            found = await anext(self._stream)
            if (fitting := _fitting(found)) is not None:
                return fitting


def _fitting(found: SessionMessage | Exception) -> SessionMessage | Exception | None:
    if isinstance(found, Exception) or _is_small(found.message):
        return found
    if not isinstance(found.message, types.JSONRPCResponse):
        return None
    why = types.ErrorData(code=types.INTERNAL_ERROR, message=f"an answer of more than {_MAX_PARTS} parts")
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=found.message.id, error=why))


def _is_small(message: types.JSONRPCMessage) -> bool:
    match message:
        case types.JSONRPCResponse():
            todo: list[Any] = [message.result]
        case types.JSONRPCError():
            todo = [message.error.data]
        case _:
            todo = [message.params]
    left = _MAX_PARTS
    while todo and left >= 0:
        match todo.pop():
            case dict() as one:
                left -= len(one)
                todo.extend(one.values() if left >= 0 else ())
            case list() as one:
                left -= len(one)
                todo.extend(one if left >= 0 else ())
    return left >= 0

"""Messages with so many parts that the SDK would take seconds and gigabytes to refuse them never get to it."""

from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from ocg.agent.mcp.bounded import Bounded

_MANY = [{"type": "?"}] * 30_000


def _answer(content: Any) -> types.JSONRPCResponse:
    return types.JSONRPCResponse(jsonrpc="2.0", id=7, result={"content": content})


async def _read(*sent: types.JSONRPCMessage | Exception) -> list[Any]:
    into, read = anyio.create_memory_object_stream[SessionMessage | Exception](len(sent))
    with into:
        for one in sent:
            into.send_nowait(one if isinstance(one, Exception) else SessionMessage(one))
    async with Bounded(read) as stream:
        return [one if isinstance(one, Exception) else one.message async for one in stream]


@pytest.mark.parametrize("content", [_MANY, [{"deep": _MANY}], [dict.fromkeys(map(str, range(30_000)))]])
async def test_an_answer_with_too_many_parts_is_an_error_to_whoever_waits_for_it(content: Any) -> None:
    (found,) = await _read(_answer(content))
    assert (found.id, found.error.message) == (7, "an answer of more than 20000 parts")


async def test_what_is_no_answer_is_dropped_and_all_else_comes_through() -> None:
    many = {"messages": _MANY}
    error = types.ErrorData(code=1, message="no", data=_MANY)
    answer, broken = _answer([{"type": "text", "text": "," * 1_000_000}]), ValueError("broken")
    found = await _read(
        types.JSONRPCRequest(jsonrpc="2.0", id=1, method="sampling/createMessage", params=many),
        answer,
        types.JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params=many),
        types.JSONRPCError(jsonrpc="2.0", id=1, error=error),
        broken,
    )
    assert found == [answer, broken]

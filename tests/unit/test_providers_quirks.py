"""What compatible APIs refuse is learnt once, and the request is made so that they take it."""

from contextlib import aclosing
from typing import Any

import pytest

from ocg.agent.providers.base import Model, Piece, PromptMessage, Reply
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.refusal import RefusedError, Settings
from ocg.protocol.messages import ToolUse
from tests.provider import Exchange, ScriptedProvider, fails, provider, says

USE = ToolUse(id="call_0123456789abcdef", name="time", arguments="{}")
LOOP = (
    PromptMessage("user", "hi"),
    PromptMessage("assistant", "", (USE, ToolUse(id="abcDEF123", name="time", arguments="{}"))),
    PromptMessage("tool", "noon", tool_call_id=USE.id),
    PromptMessage("tool", "one", tool_call_id="abcDEF123"),
)


def strict(exchange: Exchange) -> None:
    """Answer as Mistral does, and as OpenAI's own reasoning models do: one complaint at a time."""
    body = exchange.body
    ids = [one["tool_call_id"] for one in body["messages"] if "tool_call_id" in one]
    loc = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs"}
    if "stream_options" in body:
        exchange.error(422, {"object": "error", "message": {"detail": [loc]}, "type": "invalid_request_error"})
    elif any(len(one) != 9 or not one.isalnum() for one in ids):
        exchange.error(400, {"message": "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9."})
    elif "max_tokens" in body:
        exchange.error(400, {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}})
    else:
        says("well")(exchange)


async def _asked(found: OpenAIProvider) -> list[Piece]:
    async with aclosing(found.reply(LOOP, (), max_tokens=9)) as pieces:
        return [piece async for piece in pieces]


def _provider(server: ScriptedProvider) -> OpenAIProvider:
    return OpenAIProvider("host", server.base_url, Settings(), Model("m", 4096))


def _ids(body: dict[str, Any]) -> list[str]:
    called = [call["id"] for one in body["messages"] for call in one.get("tool_calls", ())]
    answered = [one["tool_call_id"] for one in body["messages"] if "tool_call_id" in one]
    assert called == answered, "each result still belongs to its call"
    return answered


async def test_each_is_learnt_by_one_refusal_and_kept() -> None:
    with provider(strict) as server:
        found = _provider(server)
        for asked in (4, 1):
            *_, reply = await _asked(found)
            assert isinstance(reply, Reply)
            assert (reply.text, len(server.asked)) == ("well", asked)
            last = server.asked[-1]
            assert "stream_options" not in last
            assert (last.get("max_tokens"), last["max_completion_tokens"]) == (None, 9)
            assert _ids(last)[1] == "abcDEF123"
            server.asked.clear()
        await found.close()


async def test_somebody_without_quirks_gets_the_plain_request() -> None:
    with provider(says("x")) as server:
        found = _provider(server)
        await _asked(found)
        await found.close()
    (body,) = server.asked
    assert (body["max_tokens"], body["stream_options"], _ids(body)[0]) == (9, {"include_usage": True}, USE.id)


async def test_a_refusal_that_changes_nothing_is_told_at_once() -> None:
    with provider(fails(422, b"stream_options and max_completion_tokens are wrong, whatever you do")) as server:
        found = _provider(server)
        with pytest.raises(RefusedError):
            await _asked(found)
        await found.close()
    assert len(server.asked) == 2

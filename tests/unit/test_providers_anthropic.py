"""Anthropic's Messages API over real HTTP: what is asked, and what comes of its good and bad days."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from ocg.agent.providers.anthropic import AnthropicProvider
from ocg.agent.providers.base import Image, Model, Piece, PromptMessage, Reply, ToolSpec
from ocg.agent.providers.messages import request_body
from ocg.agent.providers.refusal import RefusedError, Settings
from ocg.config import Thinking
from ocg.errors import Code, OcgError
from ocg.protocol.messages import ToolUse, Usage
from ocg.protocol.thinking import Reasoning
from tests import claude
from tests.provider import ScriptedProvider, provider, waits

KEY = "sk-ant-secret"
MODEL = Model("claude-test", 200_000, takes_images=True)
TIME = ToolSpec("time", "Tell the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})
NOTE = ToolSpec("note", "Note it.", {"type": "object", "properties": {}})
HELLO = (PromptMessage("system", "Be brief."), PromptMessage("user", "hello"))
CACHED = {"type": "ephemeral"}


@asynccontextmanager
async def _serving(base_url: str, silence_s: float = 5.0) -> AsyncIterator[AnthropicProvider]:
    settings = Settings(KEY, "ANTHROPIC_API_KEY", "the model in OCG_PROVIDER", base_url)
    found = AnthropicProvider("Anthropic", base_url, settings, MODEL, thinking=Thinking(), silence_s=silence_s)
    try:
        yield found
    finally:
        await found.close()


async def _asked(
    server: ScriptedProvider,
    messages: Sequence[PromptMessage] = HELLO,
    tools: Sequence[ToolSpec] = (),
    *,
    silence_s: float = 5.0,
) -> list[Piece]:
    base_url = server.base_url.removesuffix("/v1")
    async with (
        _serving(base_url, silence_s) as found,
        aclosing(found.reply(messages, tools, max_tokens=100)) as pieces,
    ):
        return [piece async for piece in pieces]


async def _failed(server: ScriptedProvider, *, silence_s: float = 5.0) -> OcgError:
    with pytest.raises(OcgError) as raised:
        await _asked(server, silence_s=silence_s)
    assert KEY not in str(raised.value) + repr(raised.value)
    return raised.value


def _body(messages: Sequence[PromptMessage], tools: Sequence[ToolSpec] = (), **thinking: Any) -> dict[str, Any]:
    return request_body(MODEL, messages, tools, max_tokens=100, thinking=Thinking(**thinking))


async def test_a_request_has_key_version_and_what_the_cache_keeps() -> None:
    with provider(claude.says("hi there")) as server:
        *shown, reply = await _asked(server, tools=[TIME, NOTE])
    assert shown == ["hi t", "here"]
    assert reply == Reply("hi there", usage=Usage(prompt_tokens=11, completion_tokens=5, cached_tokens=4))
    assert server.paths == ["/v1/messages"]
    headers = {name.lower(): value for name, value in server.headers[0].items()}
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    (body,) = server.asked
    assert (body["model"], body["stream"]) == ("claude-test", True)
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": CACHED}]
    assert body["tools"] == [
        {"name": "time", "description": "Tell the time.", "input_schema": TIME.parameters},
        {"name": "note", "description": "Note it.", "input_schema": NOTE.parameters, "cache_control": CACHED},
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": CACHED}]}
    ]


async def test_a_tool_loop_gives_the_signed_thinking_back_unchanged() -> None:
    with provider(claude.calls("time", '{"zone": "UTC"}', thought="Which one?"), claude.says("noon")) as server:
        *shown, reply = await _asked(server, tools=[TIME])
        assert shown == [Reasoning("Which one?")]
        assert isinstance(reply, Reply)
        renamed = ToolUse(id="call.2 of 3", name="time", arguments=reply.tool_calls[0].arguments)
        loop = (
            *HELLO,
            PromptMessage("assistant", reply.text, (renamed,), opaque=reply.opaque),
            PromptMessage("tool", "error: no such zone", tool_call_id="call.2 of 3"),
        )
        *_, last = await _asked(server, loop, [TIME])
    assert isinstance(last, Reply)
    assert last.text == "noon"
    assert server.asked[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Which one?", "signature": "SIG"},
                {"type": "tool_use", "id": "call_2_of_3", "name": "time", "input": {"zone": "UTC"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_2_of_3",
                    "content": [{"type": "text", "text": "error: no such zone"}],
                    "is_error": True,
                    "cache_control": CACHED,
                }
            ],
        },
    ]


def test_results_of_several_calls_and_what_the_user_adds_are_one_turn() -> None:
    uses = (ToolUse(id="a", name="time", arguments="{}"), ToolUse(id="b", name="time", arguments='{"half'))
    said = (
        PromptMessage("assistant", "  ", uses),
        PromptMessage("tool", "one", tool_call_id="a"),
        PromptMessage("tool", "", tool_call_id="b"),
        PromptMessage("user", "and?"),
    )
    turns = _body(said)["messages"]
    assert [one["role"] for one in turns] == ["user", "assistant", "user"]  # the first is always the user's
    assert [block["input"] for block in turns[1]["content"]] == [{}, {}]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert turns[2]["content"][1]["content"] == []


def test_images_are_sent_where_the_model_sees_them_and_named_where_not() -> None:
    said = (PromptMessage("user", "what is it?", images=(Image("image/png", b"\x89PNG"),)),)
    (turn,) = _body(said)["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    assert turn["content"][1] == {"type": "image", "source": source, "cache_control": CACHED}
    (blind,) = request_body(Model("m", 9), said, (), max_tokens=9, thinking=Thinking())["messages"]
    assert "cannot see" in blind["content"][1]["text"]


def test_thinking_is_asked_for_as_the_settings_say_with_room_beside_the_answer() -> None:
    assert "thinking" not in _body(HELLO)
    assert _body(HELLO)["max_tokens"] > 100
    assert (_body(HELLO, is_off=True)["thinking"], _body(HELLO, is_off=True)["max_tokens"]) == (
        {"type": "disabled"},
        100,
    )
    assert _body(HELLO, is_adaptive=True)["thinking"] == {"type": "adaptive", "display": "summarized"}
    body = _body(HELLO, tokens=2000)
    assert (body["thinking"], body["max_tokens"]) == ({"type": "enabled", "budget_tokens": 2000}, 2100)
    assert _body(HELLO, tokens=5)["thinking"]["budget_tokens"] == 1024
    assert _body(HELLO, tokens=5)["max_tokens"] == 1124


def test_a_budget_is_left_out_in_a_loop_that_another_provider_began() -> None:
    use = ToolUse(id="a", name="time", arguments="{}")
    loop = (*HELLO, PromptMessage("assistant", "", (use,)), PromptMessage("tool", "x", tool_call_id="a"))
    assert "thinking" not in _body(loop, tokens=2000)
    assert "thinking" in _body((*loop, PromptMessage("assistant", "x"), PromptMessage("user", "y")), tokens=2000)


@pytest.mark.parametrize(
    "opaque",
    [
        '{"model": "claude-other", "content": [{"type": "thinking"}, {"type": "tool_use"}]}',
        '{"provider": "DeepSeek", "field": "reasoning_content"}',
        '{"model": "claude-test", "content": [{"type": "thinking"}]}',
        "no JSON",
    ],
)
def test_what_another_model_or_provider_gave_is_not_sent(opaque: str) -> None:
    use = ToolUse(id="a", name="time", arguments="{}")
    (_, turn, _) = _body((*HELLO, PromptMessage("assistant", "so", (use,), opaque=opaque), HELLO[1]))["messages"]
    assert [block["type"] for block in turn["content"]] == ["text", "tool_use"]


async def test_overload_and_limits_are_waited_for() -> None:
    scripts = (
        claude.fails(529, "overloaded_error", "Overloaded"),
        claude.fails(429, "rate_limit_error", "slow down", Retry_After="0"),
        claude.says("there"),
    )
    with provider(*scripts) as server:
        *_, reply = await _asked(server)
    assert isinstance(reply, Reply)
    assert (reply.text, len(server.asked)) == ("there", 3)


@pytest.mark.parametrize("script", [claude.fails_within("overloaded_error"), claude.breaks_in_a_call])
async def test_what_fails_before_anything_was_shown_is_asked_for_again(script: Any) -> None:
    with provider(script, claude.says("whole")) as server:
        pieces = await _asked(server)
    assert [piece for piece in pieces if isinstance(piece, str)] == ["wh", "ole"]


async def test_what_fails_in_the_middle_of_an_answer_is_told() -> None:
    with provider(claude.fails_within("overloaded_error", after="half of")) as server:
        error = await _failed(server)
    assert (error.code, error.message, len(server.asked)) == (Code.PROVIDER, "Anthropic said: Overloaded", 1)


@pytest.mark.parametrize(
    ("status", "kind", "said", "hint"),
    [
        (401, "authentication_error", f"invalid x-api-key {KEY}", "set ANTHROPIC_API_KEY to a valid key"),
        (403, "permission_error", "not yours", "ANTHROPIC_API_KEY"),
        (404, "not_found_error", "model: claude-test", "check the model in OCG_PROVIDER, and http://127.0.0.1"),
    ],
)
async def test_a_refusal_names_provider_status_and_what_to_do(status: int, kind: str, said: str, hint: str) -> None:
    with provider(claude.fails(status, kind, said)) as server:
        error = await _failed(server)
    assert error.message == f"Anthropic: HTTP {status}: {said.replace(KEY, '[key]')}"
    assert hint in error.hint
    assert len(server.asked) == 1


async def test_a_prompt_that_is_too_long_is_known_and_a_bad_request_is_the_requests() -> None:
    with provider(claude.fails(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000")) as server:
        assert (await _failed(server)).code is Code.CONTEXT_LENGTH
    with provider(claude.fails(400, "invalid_request_error", "messages: text must be non-empty")) as server:
        error = await _failed(server)
    assert isinstance(error, RefusedError)
    assert len(server.asked) == 1


async def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    with provider(claude.fails(429, "rate_limit_error", "tomorrow", Retry_After="3600")) as server:
        async with asyncio.timeout(3):
            assert "tomorrow" in (await _failed(server)).message
    assert len(server.asked) == 1


async def test_silence_is_given_up_and_an_endless_answer_can_be_left() -> None:
    with provider(waits(threading.Event(), claude.says("never"))) as server:
        assert (await _failed(server, silence_s=0.2)).code is Code.TIMEOUT
    with provider(claude.never_ends) as server:
        async with (
            _serving(server.base_url.removesuffix("/v1")) as found,
            aclosing(found.reply(HELLO, (), max_tokens=9)) as pieces,
        ):
            assert await anext(pieces) == "and on "
        assert await asyncio.to_thread(server.hung_up.wait, 5)


async def test_nobody_there_is_told_with_the_address(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    async with _serving(url) as found:
        with pytest.raises(OcgError, match="Anthropic cannot be reached: Connection refused") as raised:
            async with aclosing(found.reply(HELLO, (), max_tokens=9)) as pieces:
                await anext(pieces)
    assert (raised.value.code, raised.value.hint) == (Code.UNAVAILABLE, f"check {url}")

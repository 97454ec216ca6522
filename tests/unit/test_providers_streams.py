"""Streams of every dialect, put together from whatever pieces they come in; the files are as they are sent."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocg.agent.providers.assembly import Assembly
from ocg.agent.providers.base import Piece, Reply
from ocg.agent.providers.blocks import Blocks
from ocg.agent.providers.refusal import Passing, RefusedError
from ocg.agent.providers.transport import Assembling
from ocg.errors import Code, OcgError
from ocg.protocol import sse
from ocg.protocol.messages import Usage
from ocg.protocol.thinking import Reasoning, ThinkSplitter

FILES = Path(__file__).parents[1] / "data" / "providers"
NAMES = sorted(path.name for path in FILES.glob("*.sse"))


def _hidden(text: str) -> str:
    return text.replace("sk-SECRET", "[key]")


def _assembly(name: str) -> Assembling:
    return Blocks("x", "claude-sonnet-5-5") if name.startswith("anthropic") else Assembly("x")


async def _pieces(data: bytes, cuts: Iterable[int], assembly: Assembling) -> list[Piece]:
    async def chunks() -> AsyncIterator[bytes]:
        at = 0
        for cut in sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)}):
            yield data[at:cut]
            at = cut

    found: list[Piece] = []
    async for event in sse.data_of(chunks()):
        found += assembly.take(event)
        if assembly.is_over:
            break
    return [*found, *assembly.end()]


def _played(name: str, *cuts: int) -> list[Piece]:
    return asyncio.run(_pieces((FILES / name).read_bytes(), cuts, _assembly(name)))


def _reply(pieces: list[Piece]) -> Reply:
    assert isinstance(pieces[-1], Reply)
    return pieces[-1]


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(min_value=0), max_size=20))
def test_a_stream_cut_anywhere_gives_the_same_reply(name: str, cuts: list[int]) -> None:
    assert _played(name, *cuts) == _played(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_what_the_reply_holds(name: str) -> None:
    *shown, _ = pieces = _played(name)
    reply = _reply(pieces)
    assert "".join(one for one in shown if isinstance(one, str)) == reply.text
    assert "".join(one.text for one in shown if isinstance(one, Reasoning)) == reply.reasoning


def test_an_answer_of_anthropics_has_its_text_and_all_its_tokens() -> None:
    reply = _reply(_played("anthropic-text.sse"))
    assert reply.text == "Grüß dich, 世界"
    assert reply.usage == Usage(prompt_tokens=2312, completion_tokens=15, cached_tokens=2000)
    assert (reply.tool_calls, reply.reasoning, reply.opaque, reply.is_cut) == ((), "", "", False)


def test_thinking_of_anthropics_is_apart_and_comes_back_as_it_was_signed() -> None:
    reply = _reply(_played("anthropic-thinking-tools.sse"))
    assert (reply.reasoning, reply.text) == ("Two places, two calls.", "Let me look.")
    assert [(one.id, one.name, one.arguments) for one in reply.tool_calls] == [
        ("toolu_01T1", "time", '{"zone": "Europe/Paris"}'),
        ("toolu_01T2", "time", "{}"),
    ]
    assert json.loads(reply.opaque) == {
        "model": "claude-sonnet-5-5",
        "content": [
            {"type": "thinking", "thinking": "Two places, two calls.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
            {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use"},
            {"type": "tool_use"},
        ],
    }


def test_reasoning_of_compatible_apis_is_apart_and_kept_for_their_own_tool_calls() -> None:
    reply = _reply(_played("deepseek-reasoning-tools.sse"))
    assert (reply.reasoning, reply.text) == ("The user wants the time.", "One moment.")
    assert json.loads(reply.opaque) == {
        "provider": "x",
        "field": "reasoning_content",
        "reasoning": "The user wants the time.",
    }
    assert reply.usage == Usage(prompt_tokens=200, completion_tokens=40, cached_tokens=128)
    signed = _reply(_played("google-signatures.sse"))
    assert json.loads(signed.opaque)["extras"] == [{"google": {"thought_signature": "CpIBAdHtim8="}}]


def test_what_a_provider_says_that_it_cost_is_the_cost() -> None:
    reply = _reply(_played("openrouter-cost.sse"))
    assert (reply.text, reply.reasoning, reply.opaque) == ("Yes.", "Hm.", "")
    assert reply.usage == Usage(prompt_tokens=21, completion_tokens=4, cost=0.000125)


def test_reasoning_in_tags_is_taken_out_at_the_beginning_alone() -> None:
    reply = _reply(_played("qwen-think-tags.sse"))
    assert reply.reasoning == "\nIs 1 < 2? Yes."
    assert reply.text == "1 < 2, and </think> is a tag."


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("plain", "", "plain"),
        ("", "", ""),
        ("  spaced", "", "  spaced"),
        (" \n<think>a</think> b", "a", "b"),
        ("<think>never closed", "never closed", ""),
        ("<think>a</thin", "a</thin", ""),
        ("<think></think>\n", "", ""),
        ("<thin", "", "<thin"),
        ("<thinker> is a word", "", "<thinker> is a word"),
        ("I <think>so</think>", "", "I <think>so</think>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
    ],
)
@given(data=st.data())
def test_tags_cut_anywhere_are_found(data: st.DataObject, text: str, thought: str, said: str) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    splitter = ThinkSplitter()
    pieces: list[str | Reasoning] = []
    for at, end in itertools.pairwise(cuts):
        pieces += splitter.take(text[at:end])
    pieces += splitter.end()
    assert "".join(one.text for one in pieces if isinstance(one, Reasoning)) == thought
    assert "".join(one for one in pieces if isinstance(one, str)) == said


def test_reasoning_in_tags_is_kept_for_the_providers_own_tool_calls() -> None:
    assembly = Assembly("x")
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    delta = {"content": "<think>hm</think> so", "tool_calls": [call]}
    list(assembly.take(json.dumps({"choices": [{"delta": delta, "finish_reason": "tool_calls"}]}).encode()))
    opaque = json.loads(_reply(list(assembly.end())).opaque)
    assert opaque == {"provider": "x", "field": "content", "reasoning": "hm"}


def test_what_might_have_become_a_tag_is_part_of_the_answer_at_its_end() -> None:
    assembly = Assembly("x")
    assert list(assembly.take(b'{"choices": [{"delta": {"content": "<think"}, "finish_reason": "stop"}]}')) == []
    shown, reply = assembly.end()
    assert (shown, _reply([reply]).text) == ("<think", "<think")


def test_thoughts_of_several_blocks_are_told_and_kept_alike() -> None:
    def thought(index: int, text: str) -> list[dict[str, Any]]:
        delta = {"type": "content_block_delta", "index": index, "delta": {"type": "thinking_delta", "thinking": text}}
        return [{"type": "content_block_start", "index": index, "content_block": {"type": "thinking"}}, delta]

    events = [*thought(0, "one"), *thought(1, "two"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}]
    blocks, shown = Blocks("x", "m"), list[Piece]()
    for event in events:
        shown += blocks.take(json.dumps(event).encode())
    assert shown == [Reasoning("one"), Reasoning("\n\ntwo")]
    assert _reply(list(blocks.end())).reasoning == "one\n\ntwo"


def test_mistrals_parts_are_read_like_everybodys_text() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    assembly = Assembly("x")
    pieces = assembly.take(json.dumps({"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}).encode())
    assert list(pieces) == [Reasoning("hm"), "yes"]


def _anthropic(*events: dict[str, Any]) -> Blocks:
    blocks = Blocks("x", "m")
    for event in events:
        list(blocks.take(json.dumps(event).encode()))
    return blocks


_BEGIN = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}
_TOOL = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}}


def test_a_half_sent_tool_call_is_no_answer_and_may_be_asked_for_again() -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
    with pytest.raises(Passing, match="in the middle"):
        list(_anthropic(_BEGIN, _TOOL, delta).end())


def test_an_answer_that_the_limit_ended_says_so() -> None:
    stop = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}}
    (reply,) = _anthropic(_BEGIN, stop, {"type": "message_stop"}).end()
    assert isinstance(reply, Reply)
    assert (reply.is_cut, reply.usage.completion_tokens) == (True, 9)
    cut = Assembly("x")
    cut.take(b'{"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}]}')
    assert _reply(list(cut.end())).is_cut


def test_a_refusal_is_an_error_that_nobody_else_is_asked_about() -> None:
    stop = {"type": "message_delta", "delta": {"stop_reason": "refusal"}}
    with pytest.raises(RefusedError, match="x refused"):
        list(_anthropic(_BEGIN, stop).end())
    filtered = Assembly("x")
    filtered.take(b'{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}')
    with pytest.raises(RefusedError, match="content filter"):
        list(filtered.end())


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, Passing, None),
        ({"type": "rate_limit_error", "message": "slow"}, Passing, None),
        ({"type": "api_error", "message": "oops"}, Passing, None),
        ({"code": 502, "message": "bad gateway"}, Passing, None),
        ({"type": "invalid_request_error", "message": "no such tool"}, RefusedError, Code.PROVIDER),
        ({"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}, OcgError, Code.CONTEXT_LENGTH),
        ({"type": "authentication_error", "message": "who"}, OcgError, Code.PROVIDER),
    ],
)
@pytest.mark.parametrize("make", [lambda: Blocks("x", "m"), lambda: Assembly("x")])
def test_an_error_in_a_stream_is_told_for_what_it_is(
    make: Callable[[], Assembling], error: dict[str, Any], kind: type[Exception], code: Code | None
) -> None:
    with pytest.raises(kind) as raised:
        make().take(json.dumps({"type": "error", "error": error}).encode())
    assert getattr(raised.value, "code", None) is code
    assert error["message"] in str(raised.value)


@pytest.mark.parametrize(
    "event", [b"{", b"[]", b'{"type": 5}', b"\xff", b'{"type": "content_block_delta", "delta": {}}']
)
def test_what_is_no_event_of_anthropics_is_a_provider_error(event: bytes) -> None:
    with pytest.raises(OcgError) as raised:
        list(Blocks("x", "m").take(event))
    assert raised.value.code is Code.PROVIDER


@pytest.mark.parametrize(
    "delta",
    [
        {"type": "text_delta", "text": "x" * 100_000},
        {"type": "input_json_delta", "partial_json": "x" * 100_000},
        {"type": "signature_delta", "signature": "x" * 100_000},
        {"type": "text_delta", "text": ""},
    ],
)
@pytest.mark.parametrize("kind", ["text", "tool_use"])
def test_an_answer_of_anthropics_without_an_end_is_ended(delta: dict[str, Any], kind: str) -> None:
    blocks = _anthropic({"type": "content_block_start", "index": 0, "content_block": {"type": kind}})
    event = json.dumps({"type": "content_block_delta", "index": 0, "delta": delta}).encode()

    def flood() -> None:
        for _ in range(100_001):
            blocks.take(event)

    with pytest.raises(OcgError, match="come to an end"):
        flood()


def test_blocks_without_number_are_refused() -> None:
    with pytest.raises(OcgError, match="256 blocks"):
        _anthropic(*({**_TOOL, "index": at} for at in range(300)))


def test_what_a_newer_api_sends_beside_is_no_matter() -> None:
    blocks = _anthropic(
        _BEGIN,
        {"type": "something_new", "index": 3},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "id": "s"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    )
    assert _reply(list(blocks.end())).text == ""


@pytest.mark.parametrize("reason", ["network_error", "insufficient_system_resource", "error"])
def test_a_stream_that_says_it_broke_off_is_no_answer(reason: str) -> None:
    assembly = Assembly("x")
    chunk = {"choices": [{"delta": {"content": "The answer is 4"}, "finish_reason": reason}]}
    assert list(assembly.take(json.dumps(chunk).encode())) == ["The answer is 4"]
    with pytest.raises(Passing, match=reason):
        list(assembly.end())


@pytest.mark.parametrize("assembly", [Assembly("x", hide=_hidden), Blocks("x", "m", hide=_hidden)])
def test_a_key_in_an_error_within_a_stream_is_not_told(assembly: Assembling) -> None:
    error = {"type": "error", "error": {"message": "Invalid key sk-SECRET"}}
    with pytest.raises((OcgError, Passing)) as raised:
        list(assembly.take(json.dumps(error).encode()))
    assert "Invalid key [key]" in str(raised.value)

"""A chat becomes a turn, its events become pieces, and a model's own stream becomes the same pieces."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.caller import OWNER
from ocg.gateway.chats.agent import _Telling
from ocg.gateway.chats.chats import Answerer, Kind
from ocg.gateway.chats.merging import merged, together
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought, begun, whole
from ocg.gateway.chats.turn import Asker, turn_of
from ocg.gateway.chats.upstream import _Reading
from ocg.gateway.openai.answer import Written, completion
from ocg.gateway.openai.request import AgentChat
from ocg.protocol import events, wire
from ocg.protocol.messages import ContextMessage, Image, ToolUse, TurnRequest, Usage
from ocg.protocol.replies import ClientTool, JsonForm, NamedTool, ReplyOptions

HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def _turn(body: dict[str, Any], session: str | None = None) -> TurnRequest:
    chat = wire.decode(AgentChat, wire.encode({"messages": [HI]} | body))
    chat.check()
    return turn_of(chat, Asker(session, OWNER))


def _refusal(body: dict[str, Any], session: str | None = None) -> str | None:
    with pytest.raises(OcgError) as caught:
        _turn(body, session)
    assert caught.value.code is Code.INVALID_REQUEST
    return caught.value.param


def test_without_a_session_earlier_messages_are_the_context() -> None:
    said = [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "very"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None},
        HI,
    ]
    turn = _turn({"messages": said, "unheard_of": {}})
    assert (turn.kind, turn.message, turn.session_id) == ("api", "hi", None)
    assert turn.message_id
    assert turn.context == (
        ContextMessage(role="system", content="be brief"),
        ContextMessage(role="system", content="very"),
        ContextMessage(role="user", content="ab"),
        ContextMessage(role="assistant", content=""),
    )


def test_results_of_the_clients_tools_come_along_and_need_no_message() -> None:
    said = [HI, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "a cat"}]
    turn = _turn({"messages": said})
    assert turn.message == ""
    assert turn.context == (
        ContextMessage(role="user", content="hi"),
        ContextMessage(role="assistant", content="", tool_calls=(ToolUse(id="c1", name="look", arguments="{}"),)),
        ContextMessage(role="tool", content="a cat", tool_call_id="c1"),
    )


def test_in_a_session_only_the_last_message_counts() -> None:
    body = {"messages": [{"role": "assistant", "content": "old"}, HI]}
    for turn in (_turn(body, "work"), _turn(body | {"user": "work"}), _turn(body | {"user": "other"}, "work")):
        assert (turn.kind, turn.message, turn.session_id, turn.context) == ("chat", "hi", "work", ())


def test_who_brings_tools_keeps_the_conversation() -> None:
    turn = _turn({"user": "work", "tools": [LOOK]})
    assert (turn.kind, turn.session_id) == ("api", None)


def test_any_user_has_a_session_and_always_the_same() -> None:
    names = [_turn({"user": user}).session_id for user in ("Ann Other/../x", "Ann Other/../x", "Bob Other")]
    assert names[0] == names[1] != names[2]
    assert names[0] is not None
    assert names[0].startswith("user-")


def test_what_is_asked_of_the_answer_comes_along() -> None:
    schema = {"type": "object"}
    body = {
        "temperature": 0.1,
        "top_p": 0.5,
        "seed": 7,
        "stop": "END",
        "max_tokens": 5,
        "max_completion_tokens": 6,
        "tools": [LOOK],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}},
    }
    assert _turn(body).options == ReplyOptions(
        max_tokens=6,
        temperature=0.1,
        top_p=0.5,
        seed=7,
        stop=("END",),
        tools=(ClientTool(name="look", parameters={"type": "object", "properties": {}}),),
        tool_choice=NamedTool(name="look"),
        parallel_calls=False,
        form=JsonForm(schema=schema, name="thing"),
    )
    assert _turn({"response_format": {"type": "json_object"}}).options.form == JsonForm()
    nothing = {"n": 1, "tools": [], "response_format": {"type": "text"}, "modalities": ["text"], "logprobs": False}
    assert _turn(nothing).options == ReplyOptions()


def _seen(*urls: str) -> dict[str, Any]:
    """A user's message with pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": "what is it?"}, *pictures]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [HI, {"role": "assistant", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": {}}]}]}, "messages[0].content[0].type"),
        ({"messages": [_seen("https://example.com/a.png")]}, "messages[0].content"),
        ({"messages": [_seen("data:image/svg+xml;base64,AAAA")]}, "messages[0].content"),
        ({"messages": [_seen("data:image/png;base64,%%%")]}, "messages[0].content"),
        ({"messages": [_seen("file:///etc/passwd")]}, "messages[0].content"),
        ({"messages": [_seen(*["data:image/png;base64,AAAA"] * 9)]}, "messages[0].content"),
        ({"messages": [_seen("http://[::1"), HI]}, "messages[0].content"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "rm -rf"}}]}, "tools[0].function.name"),
        ({"functions": [{}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 3}}, "stream_options.include_usage"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    assert _refusal(body) == param


def test_pictures_come_along_of_the_last_message_and_of_those_before_it() -> None:
    url = "data:image/png;base64,iVBORw=="
    turn = _turn({"messages": [_seen(url), {"role": "assistant", "content": "a cat"}, _seen(url, url)]})
    assert turn.images == (Image(media_type="image/png", data=b"\x89PNG"),) * 2
    assert [len(one.images) for one in turn.context] == [1, 0]
    assert turn.message == "what is it?"


def test_a_session_that_is_no_name_is_refused() -> None:
    assert _refusal({}, "../x") == "X-OCG-Session"
    assert _refusal({}, "") == "X-OCG-Session"


@pytest.mark.parametrize(
    ("model", "answerer"),
    [
        ("ocg", Answerer(Kind.AGENT, "ocg")),
        ("", Answerer(Kind.AGENT, "ocg")),
        ("default", Answerer(Kind.AGENT, "ocg")),
        ("gpt-9", Answerer(Kind.LOCAL, "gpt-9")),
        ("nobody/gpt-9", Answerer(Kind.LOCAL, "nobody/gpt-9")),
        ("local/smollm2-135m", Answerer(Kind.LOCAL, "smollm2-135m")),
        ("openai/gpt-9", Answerer(Kind.PROVIDER, "gpt-9", "openai")),
        ("openrouter/openrouter/auto", Answerer(Kind.PROVIDER, "openrouter/auto", "openrouter")),
    ],
)
def test_whose_model_it_is(model: str, answerer: Answerer) -> None:
    assert Answerer.of(model) == answerer


def _event(kind: Any, seq: int, **fields: Any) -> Any:
    return kind(turn_id="t", session_id="s", seq=seq, **fields)


def _told(*told: Any) -> list[Piece]:
    telling = _Telling()
    return [piece for event in told for piece in telling.of(event)]


_STARTED = _event(events.TurnStarted, 1, message_id="m")
_RAN = _event(events.ToolCall, 9, call_id="c", name="time", arguments="{}")


def test_a_turn_is_told_in_pieces_and_what_is_said_around_a_tool_is_parted() -> None:
    calls = (ToolUse(id="c1", name="look", arguments="{}"),)
    end = _event(events.TurnCompleted, 20, text="", usage=Usage(), tool_calls=calls, finish="tool_calls")
    said = [_event(events.ReasoningDelta, 3, text="hm"), _event(events.TextDelta, 8, text="I look.")]
    assert _told(_STARTED, *said, _RAN, _event(events.TextDelta, 14, text="Noon."), end) == [
        Begun("t", "ocg"),
        Thought("hm"),
        Text("I look."),
        Busy(),
        Text("\n\nNoon."),
        CallBegun(0, "c1", "look"),
        Arguments(0, "{}"),
        Ended("tool_calls", Usage()),
    ]


def test_what_was_said_is_not_taken_back_but_by_an_error() -> None:
    text, void, kept = _event(events.TextDelta, 8, text="a"), 7, 8
    assert _told(_STARTED, text, _RAN, _event(events.TurnResumed, 9, kept=kept))[-1] == Busy()
    with pytest.raises(OcgError, match="in the middle of its answer"):
        _told(_STARTED, text, _event(events.TurnResumed, 9, kept=void))


def _chunk(**fields: Any) -> bytes:
    return wire.encode({"id": "x"} | fields)


def _delta(finish: str | None = None, **delta: Any) -> bytes:
    return _chunk(choices=[{"delta": delta, "finish_reason": finish}])


def _read(*chunks: bytes) -> list[Piece]:
    reading = _Reading("m")
    return [*(piece for data in chunks for piece in reading.of(data)), *reading.end()]


def test_a_models_stream_is_read_into_pieces() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    assert _read(
        _delta(role="assistant", content=""),
        _delta(reasoning_content="hm"),
        _delta(content="Hi"),
        _delta(tool_calls=[call]),
        _delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        _delta("stop"),
        _chunk(choices=[], usage=usage),
    ) == [
        Begun("x", "m"),
        Busy(),
        Thought("hm"),
        Text("Hi"),
        CallBegun(0, "c1", "look"),
        Arguments(0, "{}"),
        Busy(),
        Busy(),
        Ended("tool_calls", Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)),
    ]


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ((b"no json",), "no chunk"),
        ((b"[DONE]",), "nothing"),
        ((_delta(content="a"),), "in the middle"),
        ((_delta(content="half"), _delta("network_error")), "network_error"),
        ((_delta(content="half"), _delta("content_filter")), "content filter"),
        ((_delta(content="a" * 100_000),) * 11, "come to an end"),
        ((_delta(content=" " * 100_000),) * 11, "come to an end"),
        ((_chunk(),) * 100_001, "come to an end"),
        ((wire.error_body(OcgError(Code.CONTEXT_LENGTH, "too long")),), "too long"),
    ],
)
def test_a_stream_that_is_none_is_an_error(chunks: tuple[bytes, ...], said: str) -> None:
    with pytest.raises(OcgError, match=said):
        _read(*chunks)


def test_what_providers_write_in_ways_of_their_own_is_read_for_what_it_means() -> None:
    calls = [{"id": one, "function": {"name": one, "arguments": "{}"}} for one in ("a", "b")]
    assert _read(
        _delta(content="<think>hm</"),
        _delta(content=[{"type": "text", "text": "think>fine"}]),
        *(_delta(tool_calls=[one]) for one in calls),
        _chunk(choices=[{"delta": None, "finish_reason": "tool_calls"}]),
        _chunk(usage={"prompt_tokens": 5, "completion_tokens": None, "prompt_cache_hit_tokens": 4}),
    ) == [
        Begun("x", "m"),
        Thought("hm"),
        Text("fine"),
        CallBegun(0, "a", "a"),
        Arguments(0, "{}"),
        CallBegun(1, "b", "b"),
        Arguments(1, "{}"),
        Busy(),
        Busy(),
        Ended("tool_calls", Usage(prompt_tokens=5, cached_tokens=4)),
    ]


async def test_a_whole_answer_says_what_a_stream_says() -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)

    async def pieces() -> AsyncGenerator[Piece, None]:
        for piece in (Begun("x", "m"), Thought("hm"), Text("fine"), Ended("stop", usage)):
            yield piece

    written = Written(wants_usage=True)
    frames = [frame async for piece in pieces() for frame in written.of(piece, 0)] + [written.end()]
    *streamed, last = [json.loads(line[6:]) for line in b"".join(frames).split(b"\n\n") if line.startswith(b"data: {")]
    answer = json.loads(wire.encode(completion([await whole(pieces())])))
    said = [one["choices"][0]["delta"] for one in streamed]
    assert answer["choices"][0]["message"] == {
        name: "".join(one.get(name, "") for one in said) for name in ("role", "content", "reasoning_content")
    }
    assert answer["usage"] == last["usage"]
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}


class _Answer:
    """An answer that says its words, then fails or ends, and knows whether it was closed."""

    def __init__(self, *words: str, error: OcgError | None = None) -> None:
        self._words = words
        self._error = error
        self.is_closed = False

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        try:
            for word in self._words:
                await asyncio.sleep(0)
                yield Text(word)
            if self._error:
                raise self._error
            yield Ended("stop", Usage())
        finally:
            self.is_closed = True


_BROKEN = OcgError(Code.PROVIDER, "broken")


async def test_what_fails_before_the_first_piece_fails_at_once() -> None:
    with pytest.raises(OcgError, match="broken"):
        await begun(_Answer(error=_BROKEN).pieces())
    assert (await whole(await begun(_Answer("a", "b").pieces()))).text == "ab"


async def test_an_answer_that_is_begun_can_be_closed() -> None:
    answer = _Answer("a", "b")
    await (await begun(answer.pieces())).aclose()
    assert answer.is_closed


async def test_several_answers_come_as_one_stream_and_all_are_closed() -> None:
    good, other = _Answer("a", "b"), _Answer("c")
    found = [found async for found in merged([good.pieces(), other.pieces()])]
    assert sorted((index, piece.text) for index, piece in found if isinstance(piece, Text)) == [
        (0, "a"),
        (0, "b"),
        (1, "c"),
    ]
    bad, long = _Answer("a", error=_BROKEN), _Answer(*"abcdefgh")
    with pytest.raises(OcgError, match="broken"):
        [found async for found in merged([bad.pieces(), long.pieces()])]
    assert bad.is_closed
    assert long.is_closed


async def test_jobs_done_together_end_together() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise _BROKEN

    with pytest.raises(OcgError, match="broken"):
        await together([waits(), fails()])
    assert ended.is_set()

"""A request of Ollama's API becomes a chat, and the pieces of its answer become Ollama's lines."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought, Whole
from ocg.gateway.ollama.answer import Lines, chat_line, generate_line
from ocg.gateway.ollama.chat import chat_of, completion_of
from ocg.gateway.ollama.models import Listed
from ocg.gateway.ollama.request import OllamaChat, OllamaPrompt
from ocg.protocol import openai, wire
from ocg.protocol.messages import ToolUse, Usage

HI = {"role": "user", "content": "hi"}
PNG = "iVBORw0KGgoAAAA="
USAGE = Usage(prompt_tokens=9, completion_tokens=5)


def _chat(**more: Any) -> dict[str, Any]:
    body = {"model": "ocg:latest", "messages": [HI]} | more
    found: dict[str, Any] = json.loads(wire.encode(chat_of(wire.decode(OllamaChat, wire.encode(body)))))
    return found


def _completion(**more: Any) -> dict[str, Any]:
    body = {"model": "ocg", "prompt": "hi"} | more
    found: dict[str, Any] = json.loads(wire.encode(completion_of(wire.decode(OllamaPrompt, wire.encode(body)))))
    return found


def test_what_tunes_an_answer_comes_along() -> None:
    options = {"temperature": 1, "top_p": 0.9, "seed": 7.0, "num_predict": 5, "stop": ["END"], "num_ctx": 2048}
    assert _chat(options=options, keep_alive="5m", think=True) == {
        "model": "ocg",
        "messages": [HI],
        "max_tokens": 5,
        "temperature": 1.0,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
    }


def test_what_means_no_limit_is_none() -> None:
    options = {"top_p": 0, "seed": -1, "num_predict": -2, "stop": None}
    assert _chat(options=options) == {"model": "ocg", "messages": [HI]}


@pytest.mark.parametrize(("form", "kind"), [("json", "json_object"), ({"type": "object"}, "json_schema"), ("", None)])
def test_the_form_of_the_answer(form: Any, kind: str | None) -> None:
    found = _chat(format=form).get("response_format", {})
    assert found.get("type") == kind
    assert kind != "json_schema" or found["json_schema"] == {"schema": form}


def _called(*names: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": {}}} | more for name in names]}


def _answered(*messages: dict[str, Any]) -> list[str]:
    """Return which calls the results of tools answer."""
    return [one["tool_call_id"] for one in _chat(messages=[HI, *messages])["messages"] if one["role"] == "tool"]


def test_a_result_finds_its_call_by_id_by_name_or_by_its_place() -> None:
    result = {"role": "tool", "content": "x"}
    assert _answered(_called("look", id="c7"), result | {"tool_call_id": "c7"}) == ["c7"]
    assert _answered(
        _called("look", "hear", "look"),
        result | {"tool_name": "hear"},
        result | {"tool_name": "look"},
        result,
        _called("look"),
        result,
    ) == ["call_2", "call_1", "call_3", "call_4"]


@pytest.mark.parametrize(
    "messages",
    [[{"role": "tool", "content": "x"}], [_called("look"), {"role": "tool", "content": "x", "tool_name": "hear"}]],
)
def test_a_result_that_answers_nothing_is_refused(messages: list[Any]) -> None:
    with pytest.raises(OcgError, match="answers no call") as caught:
        _answered(*messages)
    assert caught.value.code is Code.INVALID_REQUEST


def test_calls_have_their_arguments_as_an_object() -> None:
    call = {"function": {"name": "look", "arguments": {"at": "sky"}}}
    found = _chat(messages=[HI, {"role": "assistant", "content": "", "tool_calls": [call]}])["messages"][1]
    assert found["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":"sky"}'}


@pytest.mark.parametrize(
    ("data", "kind"), [(PNG, "png"), ("/9j/4AAQ", "jpeg"), ("R0lGODlh", "gif"), ("UklGRgAA", "webp")]
)
def test_pictures_are_of_the_kind_they_begin_as(data: str, kind: str) -> None:
    content = _chat(messages=[{"role": "user", "content": "look", "images": [data]}])["messages"][0]["content"]
    assert content[1] == {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}
    assert _completion(images=[data])["messages"][0]["content"][1] == content[1]


def test_a_completion_is_a_chat_of_one_message() -> None:
    assert _completion(system="Be brief.", suffix="", raw=False, context=[])["messages"] == [
        {"role": "system", "content": "Be brief."},
        HI,
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"suffix": "."}, "suffix"),
        ({"raw": True}, "raw"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"images": ["bm90aGluZw=="]}, "images"),
        ({"format": "xml"}, "format"),
        ({"options": {"temperature": 3}}, "options.temperature"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(OcgError) as caught:
        _completion(**body)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


async def _told(lines: Lines, *pieces: Piece) -> list[Any]:
    async def source() -> AsyncGenerator[Piece, None]:
        for piece in pieces:
            yield piece

    found = [line async for piece in lines.timed(source()) for line in lines.of(piece)]
    return [json.loads(wire.encode(line)) for line in found]


async def test_a_streams_lines_and_what_the_last_says() -> None:
    lines = Lines("x", chat_line, shows_thoughts=True)
    *more, last = await _told(
        lines,
        Begun("t", "ocg"),
        Thought("hm"),
        Text("I look."),
        Busy(),
        CallBegun(0, "c1", "look"),
        Arguments(0, '{"at":'),
        CallBegun(1, "c2", "hear"),
        Arguments(0, '"sky"}'),
        Ended("tool_calls", USAGE),
    )
    calls = [
        {"id": "c1", "function": {"name": "look", "arguments": {"at": "sky"}, "index": 0}},
        {"id": "c2", "function": {"name": "hear", "arguments": {}, "index": 1}},
    ]
    assert [one["message"] for one in more] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "I look."},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "", "tool_calls": calls},
    ]
    assert {(one["model"], one["done"]) for one in more} == {("x", False)}
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 5)
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"] > 0


async def test_a_prompt_is_read_until_the_first_piece_that_shows_something(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    lines = Lines("x", chat_line, shows_thoughts=True)

    async def source() -> AsyncGenerator[Piece, None]:
        nonlocal now_ns
        for at_ns, piece in ((1, Begun("t", "ocg")), (2, Busy()), (5, Text("a")), (12, Ended("stop", USAGE))):
            now_ns = at_ns
            yield piece

    *_, last = [line async for piece in lines.timed(source()) for line in lines.of(piece)]
    assert (last.prompt_eval_duration, last.eval_duration, last.total_duration) == (5, 7, 12)


async def test_thoughts_that_nobody_wants_are_left_out() -> None:
    told = await _told(
        Lines("x", generate_line, shows_thoughts=False), Thought("hm"), Text("a"), Ended("length", USAGE)
    )
    assert [(one["response"], one.get("thinking"), one.get("done_reason")) for one in told] == [
        ("a", None, None),
        ("", None, "length"),
    ]


def test_a_whole_answer_and_one_with_nothing_to_say() -> None:
    calls = (ToolUse(id="c1", name="look", arguments="{}"),)
    whole = Whole(Begun("t", "ocg"), "I look.", "hm", calls, Ended("tool_calls", USAGE))
    found = json.loads(wire.encode(Lines("x", chat_line, shows_thoughts=True).whole(whole)))
    assert found["message"]["content"] == "I look."
    assert (found["message"]["thinking"], len(found["message"]["tool_calls"]), found["done"]) == ("hm", 1, True)
    loaded = json.loads(wire.encode(Lines("x", generate_line, shows_thoughts=True).nothing()))
    assert (loaded["response"], loaded["done"], loaded["done_reason"]) == ("", True, "load")


def test_listed_models_have_a_tag_and_twelve_digits() -> None:
    found = Listed.of(openai.ModelItem(id="ocg", kind="agent"))
    assert (found.name, found.model) == ("ocg:latest", "ocg:latest")
    assert len(found.digest) >= 12
    assert Listed.of(openai.ModelItem(id="openrouter/x:free", kind="chat")).name == "openrouter/x:free"

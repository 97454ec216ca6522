"""A request of the Messages API becomes a chat, and the pieces of its answer become Anthropic's objects and events."""

import json
from typing import Any

import pytest

from ocg.errors import Code, OcgError
from ocg.gateway.anthropic.answer import Events, frame, message
from ocg.gateway.anthropic.chat import chat_of
from ocg.gateway.anthropic.models import ModelPage
from ocg.gateway.anthropic.request import MessagesRequest
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought, Whole
from ocg.protocol import openai, wire
from ocg.protocol.messages import ToolUse, Usage

HI = {"role": "user", "content": "hi"}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
LOOK = {"name": "look", "input_schema": {"type": "object"}}
USAGE = Usage(prompt_tokens=9, completion_tokens=5, cached_tokens=2)


def _chat(**more: Any) -> dict[str, Any]:
    """Translate, and show what is set in the chat."""
    body = {"model": "ocg", "max_tokens": 64, "messages": [HI]} | more
    found: dict[str, Any] = json.loads(wire.encode(chat_of(wire.decode(MessagesRequest, wire.encode(body)))))
    return found


def _messages(*messages: Any, **more: Any) -> Any:
    return _chat(messages=list(messages), **more)["messages"]


def test_what_tunes_an_answer_comes_along() -> None:
    assert _chat(temperature=0.5, top_p=0.9, stop_sequences=["END"], top_k=40, unheard_of={}) == {
        "model": "ocg",
        "messages": [HI],
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
    }


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief.", "cache_control": {}}]])
def test_the_systems_prompt_comes_first_in_either_form(system: Any) -> None:
    assert _messages(HI, system=system) == [{"role": "system", "content": "Be brief."}, HI]


def test_a_later_word_of_the_systems_goes_before_what_is_to_be_answered() -> None:
    now, then = (
        {"role": "system", "content": "Now."},
        {"role": "system", "content": [{"type": "text", "text": "Then."}]},
    )
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sky"}]}
    for said, roles in (
        ([HI, now, then], "system system system user"),
        ([HI, use, result, now], "system user system assistant tool"),
        ([HI, {"role": "assistant", "content": "ho"}, now, HI], "system user assistant system user"),
        ([now, HI], "system system user"),
    ):
        assert " ".join(one["role"] for one in _messages(*said, system="Be brief.")) == roles
    assert [one["content"] for one in _messages(HI, now, then)] == ["Now.", "Then.", "hi"]


def test_calls_and_results_of_tools_find_their_places() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sky"}}
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "redacted_thinking", "data": "y"}]
    asked = {"role": "assistant", "content": [*thoughts, {"type": "text", "text": "I look."}, use]}
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "blue"}, PNG]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "dark", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_3"},
    ]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    assert _messages(HI, asked, {"role": "user", "content": [*results, {"type": "text", "text": "So?"}]})[1:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
            ],
        },
        {"role": "tool", "content": "blue", "tool_call_id": "toolu_1"},
        {"role": "tool", "content": "Error: dark", "tool_call_id": "toolu_2"},
        {"role": "tool", "content": "", "tool_call_id": "toolu_3"},
        {"role": "user", "content": [{"type": "text", "text": "So?"}, picture]},
    ]
    alone = _messages(HI, asked, {"role": "user", "content": [results[1]]})
    assert alone[-1]["role"] == "tool"


def test_documents_are_read_where_they_are_text() -> None:
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "facts"}}
    assert _messages({"role": "user", "content": [text, {"type": "text", "text": "Sum up."}]})[0]["content"] == (
        "facts\n\nSum up."
    )


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any", "disable_parallel_tool_use": True}, {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "look"},
            {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        ),
    ],
)
def test_tools_and_which_of_them_must_be_called(choice: Any, found: dict[str, Any]) -> None:
    chat = _chat(tools=[LOOK | {"description": "Look."}], tool_choice=choice)
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert chat["tools"] == [{"type": "function", "function": function}]
    assert {name: chat[name] for name in ("tool_choice", "parallel_tool_calls") if name in chat} == found


def test_the_form_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    chat = _chat(output_config={"format": {"type": "json_schema", "schema": schema}, "effort": "low"})
    assert chat["response_format"] == {"type": "json_schema", "json_schema": {"schema": schema}}
    assert "response_format" not in _chat(output_config={"effort": "low"})


def test_a_user_is_one_to_the_agent_too() -> None:
    assert _chat(metadata={"user_id": "ada"})["user"] == "ada"
    assert "user" not in _chat(metadata={"user_id": None})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [LOOK | {"name": "no spaces"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "tool"}, "tools": [LOOK]}, "tool_choice.name"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(OcgError) as caught:
        _chat(**body)
    assert caught.value.code is Code.INVALID_REQUEST
    assert param in f"{caught.value.param} {caught.value.message}"


def test_a_whole_answer() -> None:
    calls = (
        ToolUse(id="c1", name="look", arguments='{"at": "sky"}'),
        ToolUse(id="c2", name="look", arguments='{"at": "gr'),
    )
    whole = Whole(Begun("t1", "ocg"), "I look.", "hm", calls, Ended("tool_calls", USAGE))
    thinking = {"type": "thinking", "thinking": "hm", "signature": ""}
    content = [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sky"}},
        {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
    ]
    for shows, found in ((True, [thinking, *content]), (False, content)):
        assert json.loads(wire.encode(message(whole, "x", shows_thoughts=shows))) == {
            "id": "msg_t1",
            "type": "message",
            "role": "assistant",
            "model": "x",
            "content": found,
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 7,
                "output_tokens": 5,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 0,
            },
        }


def _told(*pieces: Piece, shows_thoughts: bool = True) -> list[Any]:
    events = Events("x", shows_thoughts=shows_thoughts)
    frames = [frame(event) for piece in pieces for event in events.of(piece)]
    found = []
    for one in frames:
        name, data, *rest = one.split(b"\n")
        assert rest == [b"", b""]
        found.append(json.loads(data.removeprefix(b"data: ")))
        assert name == f"event: {found[-1]['type']}".encode()
    return found


def test_a_streams_blocks_come_one_after_another() -> None:
    start, ping, *blocks, end, stop = _told(
        Begun("t1", "ocg"),
        Thought("h"),
        Thought("m"),
        Text("I "),
        Busy(),
        Text("look."),
        CallBegun(0, "c1", "look"),
        Arguments(0, '{"at":'),
        Arguments(0, '"sky"}'),
        CallBegun(1, "c2", "look"),
        Ended("tool_calls", USAGE),
    )
    assert (start["message"]["id"], start["message"]["content"], start["message"]["model"]) == ("msg_t1", [], "x")
    assert ping == {"type": "ping"}
    assert [(one["type"].removeprefix("content_block_"), one["index"]) for one in blocks] == [
        *[("start", 0), ("delta", 0), ("delta", 0), ("stop", 0)],
        *[("start", 1), ("delta", 1), ("delta", 1), ("stop", 1)],
        *[("start", 2), ("delta", 2), ("delta", 2), ("stop", 2)],
        *[("start", 3), ("stop", 3)],
    ]
    assert [one["delta"] for one in blocks if "delta" in one] == [
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "text_delta", "text": "I "},
        {"type": "text_delta", "text": "look."},
        {"type": "input_json_delta", "partial_json": '{"at":'},
        {"type": "input_json_delta", "partial_json": '"sky"}'},
    ]
    assert end["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert end["usage"]["output_tokens"] == 5
    assert stop == {"type": "message_stop"}


def test_calls_that_come_interleaved_are_told_one_after_another_and_whole() -> None:
    told = _told(
        Begun("t", "x"),
        CallBegun(0, "c0", "look"),
        Arguments(0, "{}"),
        CallBegun(1, "c1", "look"),
        Arguments(1, '{"at":'),
        Text("so "),
        CallBegun(2, "c2", "look"),
        Arguments(2, '{"at":'),
        Arguments(1, '"sky"}'),
        Text("be it"),
        Arguments(2, '"sea"}'),
        Arguments(0, " "),
        Ended("tool_calls", USAGE),
    )
    indices = [one["index"] for one in told if "index" in one]
    assert indices == sorted(indices)
    begun = [one["content_block"] for one in told if one["type"] == "content_block_start"]
    assert [one.get("id") for one in begun] == ["c0", "c1", None, "c2"]
    said = ["", "", "", ""]
    for one in told:
        if one["type"] == "content_block_delta":
            said[one["index"]] += one["delta"].get("text", "") + one["delta"].get("partial_json", "")
    assert said == ["{}", '{"at":"sky"}', "so be it", '{"at":"sea"}']


def test_thoughts_that_nobody_wants_make_no_block() -> None:
    told = _told(Begun("t", "x"), Thought("hm"), Text("a"), Ended("length", USAGE), shows_thoughts=False)
    assert [one["content_block"]["type"] for one in told if "content_block" in one] == ["text"]
    assert told[-2]["delta"]["stop_reason"] == "max_tokens"


def test_the_list_of_models_has_those_that_talk() -> None:
    items = [openai.ModelItem(id="ocg", kind="agent", context=9), openai.ModelItem(id="minilm", kind="embedding")]
    page = json.loads(wire.encode(ModelPage.of(items)))
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("ocg", "ocg", False)
    (one,) = page["data"]
    assert (one["type"], one["display_name"], one["max_input_tokens"]) == ("model", "ocg", 9)
    assert one["created_at"] == "1970-01-01T00:00:00Z"

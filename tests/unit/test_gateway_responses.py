"""The Responses API as translations: a request becomes a chat, and pieces become items and events that OpenAI's own
types accept."""

from typing import Any, cast

import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from ocg.errors import Code, OcgError
from ocg.gateway.chats.pieces import Arguments, Begun, Busy, CallBegun, Ended, Piece, Text, Thought
from ocg.gateway.openai.responses.answer import response_to
from ocg.gateway.openai.responses.events import frame
from ocg.gateway.openai.responses.items import Item, ItemReference, items_of
from ocg.gateway.openai.responses.request import CreateResponse, chat_of
from ocg.gateway.openai.responses.writer import Writer
from ocg.protocol import wire
from ocg.protocol.events import Finish
from ocg.protocol.messages import Usage
from ocg.protocol.openai import (
    AskedCall,
    ChatMessage,
    ChatRequest,
    ChosenFunction,
    Function,
    FunctionCall,
    ImagePart,
    ImageUrl,
    JsonSchema,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)

_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Tell it.", "parameters": SCHEMA, "strict": True}


def _chat(body: dict[str, Any]) -> ChatRequest:
    asked = wire.decode(CreateResponse, wire.encode({"input": "hi"} | body))
    asked.check()
    items = items_of(asked.input)
    assert not any(isinstance(item, ItemReference) for item in items)
    return chat_of(asked, cast("tuple[Item, ...]", items))


def _said(*items: Any) -> list[ChatMessage]:
    return list(_chat({"input": items}).messages)


def _ended(finish: Finish = "stop") -> Ended:
    return Ended(finish, Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=2))


def _told(*pieces: Piece, body: dict[str, Any] | None = None) -> tuple[Writer, list[Any]]:
    """Write pieces, and read the frames with the types of OpenAI's own client."""
    writer = Writer(response_to(wire.decode(CreateResponse, wire.encode({"input": "hi"} | (body or {})))))
    events = list(writer.begin())
    for piece in pieces:
        events += writer.of(piece)
    events.append(writer.last())
    return writer, [_read(frame(event)) for event in events]


def _read(data: bytes) -> Any:
    name, body, *rest = data.decode().split("\n")
    event = _EVENTS.validate_json(body.removeprefix("data: "))
    assert name == f"event: {event.type}"
    assert rest == ["", ""]
    return event


def _final(events: list[Any]) -> Any:
    """Accumulate a stream as OpenAI's client does."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    for event in events:
        state.handle_event(event)
    return events[-1].response


def test_a_text_and_instructions_become_messages() -> None:
    chat = _chat(
        {"model": "ollama/qwen", "instructions": "be brief", "max_output_tokens": 9, "top_p": 0.5, "user": "u"}
    )
    assert chat.messages == (ChatMessage(role="system", content="be brief"), ChatMessage(role="user", content="hi"))
    assert (chat.model, chat.max_completion_tokens, chat.top_p) == ("ollama/qwen", 9, 0.5)
    assert chat.user == ""  # it would make a session of it


def test_items_become_messages_and_calls_belong_to_what_was_said_before_them() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "id": None, "status": None}
    found = _said(
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "wait", "annotations": [], "logprobs": None}],
        },
        call,
        call | {"call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
    )
    calls = tuple(AskedCall(id=one, function=FunctionCall(name="weather", arguments="{}")) for one in ("c1", "c2"))
    assert found == [
        ChatMessage(role="developer", content="d"),
        ChatMessage(role="user", content="ab"),
        ChatMessage(role="assistant", content="wait", tool_calls=calls),
        ChatMessage(role="tool", content="rain", tool_call_id="c1"),
        ChatMessage(role="tool", content="sun", tool_call_id="c2"),
    ]


def test_a_call_that_nothing_was_said_before_is_a_message_of_its_own() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    _, asked, told = _said(
        {"role": "user", "content": "a"}, call, {"type": "function_call_output", "call_id": "c1", "output": "rain"}
    )
    assert (asked.role, asked.content, told.tool_call_id) == ("assistant", None, "c1")


def test_pictures_stay_beside_their_text() -> None:
    url = "data:image/png;base64,iVBORw=="
    content = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    assert _said({"role": "user", "content": content}) == [
        ChatMessage(role="user", content=(TextPart(text="look"), ImagePart(image_url=ImageUrl(url=url))))
    ]


def test_tools_and_forms_become_those_of_a_chat() -> None:
    form = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
    chat = _chat(
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "name": "weather"},
            "parallel_tool_calls": False,
            "text": {"format": form, "verbosity": "low"},
        }
    )
    function = Function(name="weather", description="Tell it.", parameters=SCHEMA)
    assert chat.tools == (Tool(type="function", function=function),)
    assert chat.tool_choice == ToolChoice(type="function", function=ChosenFunction(name="weather"))
    assert chat.parallel_tool_calls is False
    schema = JsonSchema(schema=SCHEMA, name="place", strict=True)
    assert chat.response_format == ResponseFormat(type="json_schema", json_schema=schema)
    assert _chat({"text": {"format": {"type": "json_object"}}}).response_format == ResponseFormat(type="json_object")
    assert _chat({"text": {"format": {"type": "text"}}}).response_format is None


def test_without_tools_nothing_is_said_of_them_unless_one_must_be_called() -> None:
    plain = _chat({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True})
    assert (plain.tools, plain.tool_choice, plain.parallel_tool_calls) == (None, None, None)
    assert _chat({"tool_choice": "required"}).tool_choice == "required"


def test_tools_in_a_group_are_told_by_their_full_names_and_called_by_their_own() -> None:
    group = {"type": "namespace", "name": "sky", "description": "All about it.", "tools": [WEATHER]}
    call = {"type": "function_call", "call_id": "c", "name": "weather", "namespace": "sky", "arguments": "{}"}
    chat = _chat({"tools": [group, WEATHER], "input": [{"role": "user", "content": "hi"}, call]})
    assert [one.function.name for one in chat.tools or ()] == ["sky__weather", "weather"]
    assert [one.function.name for one in chat.messages[1].tool_calls or ()] == ["sky__weather"]
    pieces = (CallBegun(0, "c0", "sky__weather"), CallBegun(1, "c1", "weather"), _ended("tool_calls"))
    _, events = _told(*pieces, body={"tools": [group, WEATHER]})
    assert [(one.name, one.namespace) for one in _final(events).output] == [("weather", "sky"), ("weather", None)]
    assert events[-1].response.tools[0].to_dict() == group


def test_of_the_tools_only_those_allowed_are_offered() -> None:
    other = WEATHER | {"name": "other"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "other"}]}
    chat = _chat({"tools": [WEATHER, other], "tool_choice": choice})
    assert [one.function.name for one in chat.tools or ()] == ["other"]
    assert chat.tool_choice == "required"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": 1}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "../x"}]}, "input[0].id"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [WEATHER, {"type": "function"}]}, "tools[1].name"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"previous_response_id": "../x"}, "previous_response_id"),
        ({"metadata": {"k": "x" * 513}}, "metadata[...]"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(OcgError) as caught:
        _chat(body)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_null_counts_as_left_out() -> None:
    names = ("stream", "store", "tools", "tool_choice", "metadata", "text", "reasoning", "truncation", "background")
    assert _chat(dict.fromkeys(names)) == _chat({})


def test_a_text_is_told_as_openais_own_client_expects_it() -> None:
    writer, events = _told(Begun("t", "ocg"), Text("Good "), Busy(), Text("day"), _ended())
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = _final(events)
    assert (response.output_text, response.status) == ("Good day", "completed")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (7, 3, 10)
    assert response.usage.input_tokens_details.cached_tokens == 2
    assert response.model == "ocg"
    assert Response.model_validate_json(wire.encode(writer.response)) == response


def test_thoughts_and_calls_are_items_of_their_own() -> None:
    pieces = (
        Thought("hm"),
        Thought("m"),
        Text("Let me see."),
        CallBegun(0, "c0", "weather"),
        Arguments(0, '{"city":'),
        CallBegun(1, "c1", "weather"),
        Arguments(0, '"Rome"}'),  # side by side
        Arguments(1, "{}"),
        _ended("tool_calls"),
    )
    _, events = _told(*pieces)
    thought, said, first, second = _final(events).output
    assert thought.type == "reasoning"
    assert [part.text for part in thought.content or ()] == ["hmm"]
    assert said.type == "message"
    assert (first.type, second.type) == ("function_call", "function_call")
    assert [(one.call_id, one.arguments) for one in (first, second)] == [("c0", '{"city":"Rome"}'), ("c1", "{}")]
    assert {one.status for one in (thought, said, first, second)} == {"completed"}
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in done] == [0, 1, 2, 3]


def test_what_the_limit_cut_is_incomplete() -> None:
    _, events = _told(Thought("hm"), Text("Once upon"), _ended("length"))
    response = events[-1].response
    assert (events[-1].type, response.status) == ("response.incomplete", "incomplete")
    assert response.incomplete_details.reason == "max_output_tokens"
    assert [one.status for one in response.output] == ["completed", "incomplete"]
    assert response.completed_at is None


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    _, events = _told(Begun("t", "ocg"), _ended())
    assert [one.type for one in _final(events).output] == ["message"]
    assert _final(events).output_text == ""


def test_a_failure_tells_what_was_whole_and_what_to_do() -> None:
    writer, _ = _told(Thought("hm"), Text("half of"))
    event = _read(frame(writer.failed(OcgError(Code.UNAVAILABLE, "the agent is gone", "ask again"))))
    assert (event.type, event.response.status) == ("response.failed", "failed")
    assert (event.response.error.code, event.response.error.message) == (
        "server_error",
        "the agent is gone — ask again",
    )
    assert [one.type for one in event.response.output] == ["reasoning"]


def test_what_was_asked_is_told_again() -> None:
    body = {
        "model": "ocg",
        "instructions": "be brief",
        "metadata": {"k": "v"},
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "truncation": "auto",
        "store": False,
        "previous_response_id": "resp_1",
        "parallel_tool_calls": False,
        "max_output_tokens": 5,
    }
    _, events = _told(Text("x"), _ended(), body=body)
    told = events[-1].response.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert told["reasoning"]["effort"] == "low"
    plain = body.keys() - {"tools", "text", "reasoning"}
    assert {key: told[key] for key in plain} == {key: body[key] for key in plain}
    assert told["tools"] == [WEATHER]
    assert told["text"]["format"] == {"type": "json_schema", "name": "place", "schema": SCHEMA}

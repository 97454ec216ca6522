"""What a client asks of a reply, as each dialect has it, and what is done where a server does not take it."""

from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from ocg.agent.providers import completions, messages
from ocg.agent.providers.anthropic import AnthropicProvider
from ocg.agent.providers.base import Model, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.forms import closed
from ocg.agent.providers.openai import OpenAIProvider
from ocg.agent.providers.refusal import RefusedError, Settings
from ocg.config import Thinking
from ocg.protocol.messages import ToolUse
from ocg.protocol.replies import JsonForm, NamedTool, ReplyOptions
from tests import claude
from tests.provider import Exchange, Script, provider, says

MODEL = Model("m", 4096)
HELLO = (PromptMessage("system", "Be brief."), PromptMessage("user", "hello"))
TIME = ToolSpec("time", "Tell the time.", {"type": "object"})
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
ALL = ReplyOptions(temperature=1.5, top_p=0.5, seed=7, stop=("END", "\n"), parallel_calls=False)
FORM = ReplyOptions(form=JsonForm(schema=SCHEMA, name="person", strict=True))


def _openai(options: ReplyOptions, *tools: ToolSpec) -> dict[str, Any]:
    return completions.request_body(MODEL, HELLO, tools, max_tokens=9, options=options)


def _anthropic(options: ReplyOptions, *tools: ToolSpec, thinking: Thinking = Thinking()) -> dict[str, Any]:  # noqa: B008 - frozen
    return messages.request_body(MODEL, HELLO, tools, max_tokens=9, thinking=thinking, options=options)


def test_openai_is_asked_in_its_own_words_and_for_nothing_else() -> None:
    plain = _openai(ReplyOptions(), TIME)
    assert set(plain) == {"messages", "max_tokens", "stream", "stream_options", "model", "tools"}
    wished = {key: value for key, value in _openai(ALL, TIME).items() if key not in plain}
    assert wished == {
        "temperature": 1.5,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END", "\n"],
        "parallel_tool_calls": False,
    }
    assert "parallel_tool_calls" not in _openai(ALL), "without tools it is refused"


@pytest.mark.parametrize(
    ("choice", "openai", "anthropic"),
    [
        ("auto", None, None),
        ("none", "none", {"type": "none"}),
        ("required", "required", {"type": "any"}),
        (
            NamedTool(name="time"),
            {"type": "function", "function": {"name": "time"}},
            {"type": "tool", "name": "time"},
        ),
    ],
)
def test_each_choice_of_tools_has_its_words(choice: Any, openai: Any, anthropic: Any) -> None:
    options = ReplyOptions(tool_choice=choice)
    assert _openai(options, TIME).get("tool_choice") == openai
    assert _anthropic(options, TIME).get("tool_choice") == anthropic


def test_anthropic_is_asked_for_what_it_knows() -> None:
    body = _anthropic(ALL, TIME)
    assert (body["temperature"], body["stop_sequences"]) == (1.0, ["END"])
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert not {"top_p", "seed"} & set(body), "it refuses both kinds of sampling at once"
    assert _anthropic(ReplyOptions(top_p=0.5))["top_p"] == 0.5


def test_anthropic_thinks_or_is_made_to_call_and_never_both() -> None:
    adaptive = Thinking(is_adaptive=True)
    thinking = _anthropic(ALL, TIME, thinking=adaptive)
    assert thinking["thinking"]["type"] == "adaptive"
    assert not {"temperature", "top_p"} & set(thinking), "whoever thinks takes no sampling"
    forced = _anthropic(ReplyOptions(tool_choice="required"), TIME, thinking=adaptive)
    assert (forced["thinking"], forced["max_tokens"]) == ({"type": "disabled"}, 9)


def test_anthropic_is_told_the_names_of_tools_that_were_called_though_none_may_be_again() -> None:
    call = ToolUse(id="c", name="time", arguments="{}")
    said = (*HELLO, PromptMessage("assistant", "", (call, call)), PromptMessage("tool", "noon", tool_call_id="c"))
    body = messages.request_body(MODEL, said, (), max_tokens=9, thinking=Thinking())
    assert [one["name"] for one in body["tools"]] == ["time"]
    assert body["tool_choice"] == {"type": "none"}
    assert "tools" not in _anthropic(ReplyOptions())


def test_a_limit_that_a_client_sets_is_not_raised_for_thinking_that_nobody_asked_for() -> None:
    assert _anthropic(ReplyOptions(max_tokens=9))["max_tokens"] == 9
    assert _anthropic(ReplyOptions())["max_tokens"] > 1000


def test_a_form_is_a_schema_in_both_dialects() -> None:
    assert _openai(FORM)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
    }
    assert _openai(ReplyOptions(form=JsonForm()))["response_format"] == {"type": "json_object"}
    assert _anthropic(FORM)["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"age": {"type": "integer", "description": "minimum 0"}},
                "required": ["age"],
                "additionalProperties": False,
            },
        }
    }
    assert "output_config" not in _anthropic(ReplyOptions(form=JsonForm())), "words ask for it"


def test_a_schema_is_closed_wherever_it_has_objects_and_a_property_may_be_called_like_a_bound() -> None:
    inner = {"type": "object", "properties": {"minimum": {"type": "string", "maxLength": 3, "description": "least"}}}
    schema = {
        "$defs": {"x": inner},
        "anyOf": [inner, {"type": "array", "items": inner, "minItems": 2}],
        "enum": [inner],
    }
    shut = {
        "type": "object",
        "properties": {"minimum": {"type": "string", "description": "least (maxLength 3)"}},
        "additionalProperties": False,
    }
    assert closed(schema) == {
        "$defs": {"x": shut},
        "anyOf": [shut, {"type": "array", "items": shut, "description": "minItems 2"}],
        "enum": [inner],
    }


def test_a_schema_of_any_depth_is_no_bug_of_ours() -> None:
    deep = msgspec.json.decode(b'{"items":' * 400 + b"{}" + b"}" * 400)
    assert "items" in closed(deep)


def _picky(refusals: dict[str, str], then: Script, seen: list[dict[str, Any]]) -> Script:
    """Refuse a request as long as it has what this server does not take, one complaint at a time."""

    def script(exchange: Exchange) -> None:
        seen.append(exchange.body)
        said = next((text for key, text in refusals.items() if key in exchange.body), None)
        if said is None:
            then(exchange)
        else:
            exchange.error(400, {"error": {"type": "invalid_request_error", "message": said}})

    return script


async def _asked(found: Provider, options: ReplyOptions, *tools: ToolSpec) -> Reply:
    async with aclosing(found.reply(HELLO, tools, max_tokens=9, options=options)) as pieces:
        *_, reply = [piece async for piece in pieces]
    assert isinstance(reply, Reply)
    return reply


OPENAI_REFUSALS = {
    "temperature": "Unsupported value: 'temperature' does not support 1.5 with this model. Only the default (1) value"
    " is supported.",
    "top_p": "Unsupported parameter: 'top_p' is not supported with this model.",
    "stop": "Argument not supported on this model: stop",
    "seed": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
    "parallel_tool_calls": "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
}


async def test_what_tunes_a_reply_is_left_out_for_a_server_that_refuses_it() -> None:
    seen: list[dict[str, Any]] = []
    with provider(_picky(OPENAI_REFUSALS, says("well"), seen)) as server:
        found = OpenAIProvider("host", server.base_url, Settings(), MODEL)
        try:
            assert (await _asked(found, ALL, TIME)).text == "well"
            assert len(seen) == len(OPENAI_REFUSALS) + 1
            await _asked(found, ALL, TIME)
        finally:
            await found.close()
    assert len(seen) == len(OPENAI_REFUSALS) + 2, "it is learnt once"
    assert not set(OPENAI_REFUSALS) & set(seen[-1])


async def test_of_two_kinds_of_sampling_that_exclude_each_other_the_temperature_stays() -> None:
    seen: list[dict[str, Any]] = []
    refusals = {"top_p": "`temperature` and `top_p` cannot both be specified for this model. Please use only one."}
    with provider(_picky(refusals, says("well"), seen)) as server:
        found = OpenAIProvider("host", server.base_url, Settings(), MODEL)
        try:
            await _asked(found, ALL)
        finally:
            await found.close()
    assert (seen[-1]["temperature"], "top_p" in seen[-1]) == (1.5, False)


async def test_a_value_that_is_wrong_is_told_and_nothing_is_learnt_from_it() -> None:
    seen: list[dict[str, Any]] = []
    said = "Invalid 'temperature': decimal above maximum value. Expected a value <= 1, but got 1.5 instead."
    with provider(_picky({"temperature": said}, says("well"), seen)) as server:
        found = OpenAIProvider("host", server.base_url, Settings(), MODEL)
        try:
            with pytest.raises(RefusedError, match="above maximum"):
                await _asked(found, ALL)
        finally:
            await found.close()
    assert len(seen) == 1


async def test_a_schema_that_a_server_does_not_take_is_told_in_words() -> None:
    seen: list[dict[str, Any]] = []

    def deepseek(exchange: Exchange) -> None:
        seen.append(exchange.body)
        if exchange.body["response_format"]["type"] == "json_schema":
            exchange.error(400, {"error": {"message": "This response_format type is unavailable now"}})
        else:
            says('{"age": 3}')(exchange)

    with provider(deepseek) as server:
        found = OpenAIProvider("host", server.base_url, Settings(), MODEL)
        try:
            assert (await _asked(found, FORM)).text == '{"age": 3}'
        finally:
            await found.close()
    system, user = seen[-1]["messages"]
    assert system["content"].startswith("Be brief.\n\nAnswer with JSON and nothing else")
    assert msgspec.json.encode(SCHEMA).decode() in system["content"]
    assert user["content"] == "hello"


async def test_what_a_model_of_anthropics_refuses_is_learnt_as_well() -> None:
    seen: list[dict[str, Any]] = []
    refusals = {
        "temperature": "`temperature` is deprecated for this model.",
        "output_config": "output_config.format: Extra inputs are not permitted",
    }
    options = msgspec.structs.replace(FORM, temperature=0.3)
    with provider(_picky(refusals, claude.says('{"age": 3}'), seen)) as server:
        base_url = server.base_url.removesuffix("/v1")
        found = AnthropicProvider("Anthropic", base_url, Settings(), MODEL, thinking=Thinking())
        try:
            assert (await _asked(found, options)).text == '{"age": 3}'
        finally:
            await found.close()
    assert not {"temperature", "output_config"} & set(seen[-1])
    assert "must fit this JSON schema" in seen[-1]["system"][-1]["text"]

"""Anthropic's models by name, asked in OpenAI's way by OpenAI's own client."""

from collections.abc import Iterator
from dataclasses import dataclass

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests import claude
from tests.provider import KEY, ScriptedProvider, provider
from tests.service.agent import agent
from tests.service.gateway import TOKEN, environment, serving, unused_port

MODEL = "anthropic/claude-x"
SAID: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What time is it?"},
]
TOOL: ChatCompletionToolParam = {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}


@dataclass(frozen=True)
class Services:
    """Where the gateway is, and the provider behind it."""

    model: ScriptedProvider
    url: str


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("translation")
    with provider(claude.says("noon")) as model:
        urls = {"OCG_PROVIDER_URLS": f"anthropic={model.base_url.removesuffix('/v1')}", "ANTHROPIC_API_KEY": KEY}
        env = environment(folder, unused_port(), **urls)
        with agent(folder, env) as found, serving(folder, env) as gateway:
            yield Services(model, f"{gateway.url}/v1")
            log = found.process.log
            assert KEY not in log
            assert not {"Traceback", "Unclosed"} & set(log.split()), log


@pytest.fixture
def model(services: Services) -> Iterator[ScriptedProvider]:
    yield services.model
    services.model.forget()


@pytest.fixture
def client(services: Services) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=services.url, api_key=TOKEN, max_retries=0) as found:
        yield found


def test_an_answer_is_translated(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.says("It is noon."))
    answer = client.chat.completions.create(model=MODEL, messages=SAID, max_tokens=50, temperature=0.5)
    assert answer.model == MODEL
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("It is noon.", "stop")
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 5)
    assert (model.paths, model.asked[0]["model"]) == (["/v1/messages"], "claude-x")
    assert model.asked[0]["system"][0]["text"] == "Be brief."


def test_a_stream_is_translated_as_it_comes(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.says("It is noon."))
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=SAID, stream=True, stream_options=options)  # type: ignore[call-overload] # it wants its own dict
    )
    text = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(text) > 1
    assert "".join(text) == "It is noon."
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 16


@pytest.mark.parametrize("stream", ["whole", "streamed"])
def test_tools_of_the_client_are_called_and_answered(
    model: ScriptedProvider, client: openai.OpenAI, stream: str
) -> None:
    model.play(claude.calls("time", '{"zone": "UTC"}'), claude.says("noon"))
    if stream == "whole":
        answer = client.chat.completions.create(model=MODEL, messages=SAID, tools=[TOOL])
    else:
        with client.chat.completions.stream(model=MODEL, messages=SAID, tools=[TOOL]) as events:
            answer = events.get_final_completion()
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("toolu_1", "time", '{"zone": "UTC"}')
    said: list[ChatCompletionMessageParam] = [
        *SAID,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": "time", "arguments": call.function.arguments}}
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "12:00"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL])
    assert answer.choices[0].message.content == "noon"
    *_, asked, result = model.asked[1]["messages"]
    assert asked["content"][0] == {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {"zone": "UTC"}}
    assert (result["content"][0]["type"], result["content"][0]["tool_use_id"]) == ("tool_result", "toolu_1")


def test_what_the_limit_cut_off_is_no_call_to_run(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.calls("time", '{"zone": "U', stop_reason="max_tokens"))
    answer = client.chat.completions.create(model=MODEL, messages=SAID, tools=[TOOL])
    assert answer.choices[0].finish_reason == "length"


def test_thoughts_and_what_a_cache_had_are_told(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.calls("time", "{}", thought="the user wants the time"))
    answer = client.chat.completions.create(model=MODEL, messages=SAID, tools=[TOOL])
    assert answer.choices[0].message.model_extra == {"reasoning_content": "the user wants the time"}
    assert answer.usage
    assert answer.usage.prompt_tokens_details
    assert answer.usage.prompt_tokens_details.cached_tokens == 4


def test_what_anthropic_refuses_has_a_status(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.fails(400, "invalid_request_error", "no such thing"))
    with pytest.raises(openai.BadRequestError, match="no such thing"):
        client.chat.completions.create(model=MODEL, messages=SAID, stream=True)
    model.play(claude.fails(401, "authentication_error", f"bad key {KEY}"))
    with pytest.raises(openai.InternalServerError, match=r"bad key \[key\]") as refused:
        client.chat.completions.create(model=MODEL, messages=SAID)
    assert refused.value.status_code == 502
    model.play(claude.fails(429, "rate_limit_error", "tomorrow", Retry_After="3600"))
    with pytest.raises(openai.RateLimitError, match="tomorrow"):
        client.chat.completions.create(model=MODEL, messages=SAID)
    with pytest.raises(openai.BadRequestError, match="n: this provider does not offer it"):
        client.chat.completions.create(model=MODEL, messages=SAID, n=2)
    with pytest.raises(openai.BadRequestError, match="no `tools` that could be called"):
        client.chat.completions.create(model=MODEL, messages=SAID, tool_choice="required")
    with pytest.raises(openai.BadRequestError, match="which is not made right before it"):
        client.chat.completions.create(
            model=MODEL, messages=[*SAID, {"role": "tool", "tool_call_id": "x", "content": "noon"}]
        )


def test_a_stream_that_fails_says_so(model: ScriptedProvider, client: openai.OpenAI) -> None:
    model.play(claude.fails_within("overloaded_error", after="It is"))
    chunks = client.chat.completions.create(model=MODEL, messages=SAID, stream=True)
    with chunks, pytest.raises(openai.APIError, match="Overloaded"):
        list(chunks)


@pytest.mark.parametrize("is_read", [True, False])
def test_who_hangs_up_ends_it(model: ScriptedProvider, client: openai.OpenAI, is_read: bool) -> None:  # noqa: FBT001 - pytest's
    model.play(claude.never_ends)
    with client.chat.completions.create(model=MODEL, messages=SAID, stream=True) as chunks:
        if is_read:
            next(chunks)
    assert model.hung_up.wait(10)

"""The `anthropic` package and LangChain's for it: messages, streams, tools, forms, counts, errors, cancelling."""

from collections.abc import Iterator

import anthropic
import pytest
from conftest import LOCAL, WEATHER, Stack
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

HI = [{"role": "user", "content": "hello"}]
FUNCTION = WEATHER["function"]
TOOL = {"name": "get_weather", "description": FUNCTION["description"], "input_schema": FUNCTION["parameters"]}


@pytest.fixture
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.token, max_retries=0) as found:
        yield found


def test_a_message_whole_and_streamed(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.create(model=model, max_tokens=64, messages=HI)
    assert [(block.type, block.text) for block in answer.content] == [("text", "You said: hello")]
    assert (answer.model, answer.role, answer.stop_reason) == (model, "assistant", "end_turn")
    assert answer.usage.input_tokens > 0
    with client.messages.stream(model=model, max_tokens=64, messages=HI) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].text == "You said: hello"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
    )
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_of_the_clients_and_back(client: anthropic.Anthropic, model: str, *, streams: bool) -> None:
    said = [{"role": "user", "content": "use get_weather"}]
    asked = {"model": model, "max_tokens": 64, "tools": [TOOL]}
    if streams:
        with client.messages.stream(messages=said, **asked) as stream:
            called = stream.get_final_message()
    else:
        called = client.messages.create(messages=said, **asked)
    assert called.stop_reason == "tool_use"
    (use,) = (block for block in called.content if block.type == "tool_use")
    assert (use.name, use.input) == ("get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "rain"}]}
    said += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(messages=said, **asked).content[0].text == "The tool said: rain"


def test_the_local_model_must_call_a_tool(client: anthropic.Anthropic) -> None:
    said = [{"role": "user", "content": "What is the weather in Paris?"}]
    choice = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    asked = client.messages.create(model=LOCAL, max_tokens=128, messages=said, tools=[TOOL], tool_choice=choice)
    (use,) = (block for block in asked.content if block.type == "tool_use")
    assert "city" in use.input


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("name", ["ocg", "custom/scripted", LOCAL])
def test_an_answer_has_the_form_that_is_asked_for(client: anthropic.Anthropic, name: str) -> None:
    said = [{"role": "user", "content": "Ada is 36 years old."}]
    person = client.messages.parse(model=name, max_tokens=64, messages=said, output_format=Person).parsed_output
    assert isinstance(person, Person)
    assert name == LOCAL or person == Person(name="Ada", age=36)


def test_a_picture_and_a_prompt_in_blocks_come_along(client: anthropic.Anthropic, model: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "look"}]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    said = [{"role": "user", "content": content}]
    answer = client.messages.create(model=model, max_tokens=64, system=system, messages=said)
    assert "look" in answer.content[0].text


def test_the_answer_ends_where_it_should(client: anthropic.Anthropic) -> None:
    said = [{"role": "user", "content": "Count: one, two, three"}]
    cut = client.messages.create(model=LOCAL, max_tokens=3, messages=said)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    asked = {"model": LOCAL, "max_tokens": 24, "messages": said, "extra_body": {"temperature": 0}}
    word = client.messages.create(**asked).content[0].text.split()[1]
    ended = client.messages.create(**asked, stop_sequences=[word])
    assert word not in ended.content[0].text


def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=LOCAL, max_tokens=1, messages=HI, system="Be brief.")
    counted = client.messages.count_tokens(model=LOCAL, messages=HI, system="Be brief.").input_tokens
    assert abs(counted - answer.usage.input_tokens) < 8
    few, many = (
        client.messages.count_tokens(model="ocg", messages=[{"role": "user", "content": "word " * times}], tools=[TOOL])
        for times in (1, 1001)
    )
    assert many.input_tokens - few.input_tokens == 1250  # four bytes a token


def test_models_have_anthropics_shape(client: anthropic.Anthropic) -> None:
    found = {one.id: one for one in client.models.list()}
    assert {"ocg", LOCAL} <= set(found)
    assert client.models.retrieve(LOCAL) == found[LOCAL]
    assert found[LOCAL].type == "model"
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.models.retrieve("gpt-9")
    assert unknown.value.body["error"]["type"] == "not_found_error"


def test_errors_are_anthropics(client: anthropic.Anthropic, stack: Stack) -> None:
    with pytest.raises(anthropic.BadRequestError) as bad:
        client.messages.create(model="ocg", max_tokens=0, messages=HI)
    assert (bad.value.body["type"], bad.value.body["error"]["type"]) == ("error", "invalid_request_error")
    assert "max_tokens" in bad.value.body["error"]["message"]
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="gpt-9", max_tokens=64, messages=HI)
    stranger = anthropic.Anthropic(base_url=stack.url, api_key="wrong", max_retries=0)
    with stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.create(model="ocg", max_tokens=64, messages=HI)
    assert refused.value.body["error"]["type"] == "authentication_error"
    with (
        pytest.raises(anthropic.APIStatusError) as failed,
        client.messages.stream(
            model="custom/scripted", max_tokens=64, messages=[{"role": "user", "content": "fails with 400"}]
        ) as stream,
    ):
        stream.get_final_message()
    assert failed.value.body["type"] == "error"


def test_who_leaves_ends_the_work(client: anthropic.Anthropic, stack: Stack, model: str) -> None:
    said = [{"role": "user", "content": "never ends"}]
    with client.messages.stream(model=model, max_tokens=64, messages=said) as stream:
        next(stream.text_stream)
    assert stack.hung_up()


def test_a_user_has_a_session(client: anthropic.Anthropic) -> None:
    asked = {"model": "ocg", "max_tokens": 64, "metadata": {"user_id": "anthropic-user"}}
    answer = client.messages.create(messages=HI, **asked)
    assert answer.content[0].text == "You said: hello"
    page = client.get("/v1/sessions/anthropic-user", cast_to=object)
    assert [one["content"] for one in page["messages"]] == ["hello", "You said: hello"]


def _langchain(stack: Stack, name: str) -> ChatAnthropic:
    return ChatAnthropic(model=name, base_url=stack.url, api_key=stack.token, max_retries=0, max_tokens=64)


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


def test_langchain_speaks_it(stack: Stack, model: str) -> None:
    assert _langchain(stack, model).invoke("hello").content == "You said: hello"
    assert "".join(chunk.text for chunk in _langchain(stack, model).stream("hello")) == "You said: hello"
    bound, said = _langchain(stack, model).bind_tools([get_weather]), [HumanMessage("use get_weather")]
    called = bound.invoke(said)
    (call,) = called.tool_calls
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([*said, called, result]).content == "The tool said: rain in Paris"

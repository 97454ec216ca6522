"""The `openai` package: chats, tools, forms, pictures, embeddings, errors, and what is cancelled."""

import json
from collections.abc import Iterator

import openai
import pytest
from conftest import LOCAL, WEATHER, Stack
from pydantic import BaseModel

HI = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.openai_url, api_key=stack.token, max_retries=0) as found:
        yield found


def test_a_chat_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=HI)
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.usage.total_tokens > 0
    stream = client.chat.completions.create(
        model=model, messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: hello"
    assert chunks[-1].usage.total_tokens > 0


def test_several_choices(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="ocg", messages=HI, n=2)
    assert [choice.message.content for choice in answer.choices] == ["You said: hello"] * 2


def test_a_tool_of_the_clients_and_back(client: openai.OpenAI, model: str) -> None:
    messages = [{"role": "user", "content": "use get_weather"}]
    asked = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert asked.choices[0].finish_reason == "tool_calls"
    (call,) = asked.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    told = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert told.choices[0].message.content == "The tool said: rain"


def test_a_tool_call_streams(client: openai.OpenAI, model: str) -> None:
    said = [{"role": "user", "content": "use get_weather"}]
    with client.chat.completions.stream(model=model, messages=said, tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city": "Paris"}'


def test_the_local_model_must_call_a_tool(client: openai.OpenAI) -> None:
    said = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = client.chat.completions.create(model=LOCAL, messages=said, tools=[WEATHER], tool_choice="required", seed=1)
    (call,) = asked.choices[0].message.tool_calls
    assert "city" in json.loads(call.function.arguments)


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("name", ["ocg", "custom/scripted", LOCAL])
def test_an_answer_has_the_form_that_is_asked_for(client: openai.OpenAI, name: str) -> None:
    said = [{"role": "user", "content": "Ada is 36 years old."}]
    answer = client.chat.completions.parse(model=name, messages=said, response_format=Person, max_tokens=64)
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person)
    assert name == LOCAL or person == Person(name="Ada", age=36)


def test_a_picture_comes_along(client: openai.OpenAI, model: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    said = [{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}]
    assert "look" in client.chat.completions.create(model=model, messages=said).choices[0].message.content


def test_the_same_seed_says_the_same_and_stop_stops(client: openai.OpenAI) -> None:
    said = [{"role": "user", "content": "Count: one, two, three"}]
    first, second = (
        client.chat.completions.create(model=LOCAL, messages=said, seed=7, temperature=1.0, max_tokens=24)
        for _ in range(2)
    )
    assert first.choices[0].message.content == second.choices[0].message.content
    word = first.choices[0].message.content.split()[1]
    cut = client.chat.completions.create(model=LOCAL, messages=said, seed=7, temperature=1.0, max_tokens=24, stop=word)
    assert word not in cut.choices[0].message.content


def test_models_and_embeddings(client: openai.OpenAI) -> None:
    names = [one.id for one in client.models.list()]
    assert {"ocg", "minilm", LOCAL, "custom/scripted"} <= set(names)
    assert len(client.embeddings.create(model="minilm", input=["a", "b"]).data) == 2


def test_errors_are_openais(client: openai.OpenAI, stack: Stack) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="ocg", messages=[])
    assert bad.value.param == "messages"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=HI)
    stranger = openai.OpenAI(base_url=stack.openai_url, api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    for status, kind in ((400, openai.BadRequestError), (429, openai.RateLimitError)):
        said = [{"role": "user", "content": f"fails with {status}"}]
        with pytest.raises(kind):
            client.chat.completions.create(model="custom/scripted", messages=said)


def test_who_leaves_ends_the_work(client: openai.OpenAI, stack: Stack, model: str) -> None:
    said = [{"role": "user", "content": "never ends"}]
    stream = client.chat.completions.create(model=model, messages=said, stream=True)
    next(iter(stream))
    stream.close()
    assert stack.hung_up()


def test_a_session_remembers(client: openai.OpenAI) -> None:
    headers = {"X-OCG-Session": "clients"}
    for text in ("one", "two"):
        said = [{"role": "user", "content": text}]
        answer = client.chat.completions.create(model="ocg", messages=said, extra_headers=headers)
        assert answer.choices[0].message.content == f"You said: {text}"

"""The `openai` package's Responses API: conversations by id, tools, forms, pictures, errors, and what is cancelled."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from conftest import LOCAL, WEATHER, Stack
from pydantic import BaseModel

TOOL = WEATHER["function"] | {"type": "function", "strict": False}


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.openai_url, api_key=stack.token, max_retries=0) as found:
        yield found


def _calls(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def test_three_turns_by_the_id_of_the_last(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input="one", instructions="be brief")
    assert (first.output_text, first.status) == ("You said: one", "completed")
    assert first.usage.total_tokens > 0
    with client.responses.stream(model=model, input="two", previous_response_id=first.id) as stream:
        kinds = [event.type for event in stream]
        second = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert second.output_text == "You said: two"
    third = client.responses.create(model=model, input="three", previous_response_id=second.id)
    assert client.responses.retrieve(third.id).previous_response_id == second.id
    client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="four", previous_response_id=third.id)
    assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize("store", [True, False])
def test_a_tool_of_the_clients_and_back(client: openai.OpenAI, model: str, *, store: bool) -> None:
    """The conversation is kept by the server, or by the client, which sends back what it got."""
    said: list[Any] = [{"role": "user", "content": "use get_weather"}]
    asked = client.responses.create(model=model, input=said, tools=[TOOL], store=store)
    (call,) = _calls(asked)
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    if store:
        told = client.responses.create(model=model, input=[result], tools=[TOOL], previous_response_id=asked.id)
    else:
        told = client.responses.create(model=model, input=[*said, *asked.output, result], tools=[TOOL], store=False)
    assert told.output_text == "The tool said: rain"


def test_a_tool_call_streams(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="use get_weather", tools=[TOOL]) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        (call,) = _calls(stream.get_final_response())
    assert "".join(deltas) == call.arguments == '{"city": "Paris"}'


def test_the_local_model_must_call_a_tool(client: openai.OpenAI) -> None:
    asked = client.responses.create(
        model=LOCAL, input="What is the weather in Paris?", tools=[TOOL], tool_choice="required"
    )
    (call,) = _calls(asked)
    assert "city" in json.loads(call.arguments)


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("name", ["ocg", "custom/scripted", LOCAL])
def test_an_answer_has_the_form_that_is_asked_for(client: openai.OpenAI, name: str) -> None:
    answer = client.responses.parse(model=name, input="Ada is 36 years old.", text_format=Person, max_output_tokens=64)
    assert isinstance(answer.output_parsed, Person)
    assert name == LOCAL or answer.output_parsed == Person(name="Ada", age=36)


def test_a_picture_comes_along(client: openai.OpenAI, model: str) -> None:
    picture = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    said: Any = [{"role": "user", "content": [{"type": "input_text", "text": "look"}, picture]}]
    assert "look" in client.responses.create(model=model, input=said).output_text


def test_an_answer_that_the_limit_cuts_says_so(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=LOCAL, input="Count from one to a hundred.", max_output_tokens=3)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 3


def test_errors_are_openais(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="gpt-9", input="hello")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_0")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="ocg", input="hello", tools=[{"type": "web_search"}])
    assert refused.value.param == "tools[0].type"
    for status, kind in ((400, openai.BadRequestError), (429, openai.RateLimitError)):
        with pytest.raises(kind):
            client.responses.create(model="custom/scripted", input=f"fails with {status}", stream=True)


def test_who_leaves_ends_the_work(client: openai.OpenAI, stack: Stack, model: str) -> None:
    stream = client.responses.create(model=model, input="never ends", stream=True)
    next(iter(stream))
    stream.close()
    assert stack.hung_up()

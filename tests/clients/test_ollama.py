"""The `ollama` package and LangChain's for it: chats, streams, tools, forms, vectors, models, errors, cancelling."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest
from conftest import LOCAL, WEATHER, Stack
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings

HI = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(stack: Stack) -> Iterator[ollama.Client]:
    with ollama.Client(host=stack.url, headers={"Authorization": f"Bearer {stack.token}"}) as found:
        yield found


def test_a_chat_whole_and_streamed(client: ollama.Client, model: str) -> None:
    answer = client.chat(model=model, messages=HI)
    assert (answer.model, answer.message.role, answer.message.content) == (model, "assistant", "You said: hello")
    _is_measured(answer)
    *lines, last = client.chat(model=f"{model}:latest", messages=HI, stream=True)
    assert "".join(line.message.content for line in lines) == "You said: hello"
    assert not any(line.done for line in lines)
    assert last.message.content == ""
    _is_measured(last)


def _is_measured(answer: Any) -> None:
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert answer.prompt_eval_count > 0 < answer.eval_count
    assert 0 < answer.prompt_eval_duration + answer.eval_duration <= answer.total_duration < 60e9


def test_a_completion_whole_and_streamed(client: ollama.Client, model: str) -> None:
    assert client.generate(model=model, prompt="hello", system="Be brief.").response == "You said: hello"
    lines = list(client.generate(model=model, prompt="hello", stream=True))
    assert "".join(line.response for line in lines) == "You said: hello"
    assert client.generate(model=model).done_reason == "load"
    with pytest.raises(ollama.ResponseError, match="gpt-9"):
        client.generate(model="gpt-9")
    for refused in ({"suffix": "."}, {"raw": True}, {"context": [1]}, {"template": "{{ .Prompt }}"}):
        with pytest.raises(ollama.ResponseError, match=next(iter(refused))):
            client.generate(model=model, prompt="hello", **refused)


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_of_the_clients_and_back(client: ollama.Client, model: str, *, streams: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "use get_weather"}]
    answers = client.chat(model=model, messages=messages, tools=[WEATHER], stream=streams)
    called = [line.message for line in (answers if streams else [answers]) if line.message.tool_calls]
    (call,) = called[0].tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    messages += [called[0], {"role": "tool", "tool_name": "get_weather", "content": "rain"}]
    assert client.chat(model=model, messages=messages, tools=[WEATHER]).message.content == "The tool said: rain"


@pytest.mark.parametrize("name", ["ocg", "custom/scripted", LOCAL])
def test_an_answer_has_the_form_that_is_asked_for(client: ollama.Client, name: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    said = [{"role": "user", "content": "Ada is 36 years old."}]
    answer = client.chat(model=name, messages=said, format=schema, options={"num_predict": 64})
    assert set(json.loads(answer.message.content)) == {"name", "age"}


def test_json_without_a_schema(client: ollama.Client) -> None:
    answer = client.generate(model=LOCAL, prompt="Who are you?", format="json", options={"num_predict": 256, "seed": 3})
    assert isinstance(json.loads(answer.response), dict)


def test_a_picture_comes_along(client: ollama.Client, model: str) -> None:
    said = [{"role": "user", "content": "look", "images": [b"\x89PNG\r\n\x1a\n"]}]
    assert "look" in client.chat(model=model, messages=said).message.content
    with pytest.raises(ollama.ResponseError, match="PNG"):
        client.chat(model=model, messages=[{"role": "user", "content": "look", "images": [b"nothing"]}])


def test_options_tune_the_answer(client: ollama.Client) -> None:
    said = [{"role": "user", "content": "Count: one, two, three"}]
    options = {"seed": 7, "temperature": 1.0, "num_predict": 24, "num_ctx": 2048}
    first, second = (client.chat(model=LOCAL, messages=said, options=options).message.content for _ in range(2))
    assert first == second
    word = first.split()[1]
    cut = client.chat(model=LOCAL, messages=said, options=options | {"stop": [word]})
    assert word not in cut.message.content
    short = client.chat(model=LOCAL, messages=said, options={"num_predict": 3})
    assert (short.done_reason, short.eval_count) == ("length", 3)


def test_embeddings_new_and_old(client: ollama.Client) -> None:
    found = client.embed(model="minilm", input=["a cat", "a dog"])
    assert [len(one) for one in found.embeddings] == [384, 384]
    assert found.prompt_eval_count > 0
    assert client.embeddings(model="minilm:latest", prompt="a cat").embedding == found.embeddings[0]
    assert client.embed(model="minilm", input=[]).embeddings == []
    long = "word " * 5000
    assert len(client.embed(model="minilm", input=long).embeddings) == 1
    with pytest.raises(ollama.ResponseError):
        client.embed(model="minilm", input=long, truncate=False)


def test_models_are_listed_and_shown(client: ollama.Client) -> None:
    names = {one.model for one in client.list().models}
    assert {"ocg:latest", "minilm:latest", f"{LOCAL}:latest"} <= names
    assert "minilm:latest" in {one.model for one in client.ps().models}
    shown = client.show(f"{LOCAL}:latest")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["ocg.context_length"] == 8192
    assert "tools" in client.show("ocg").capabilities
    assert client.show("minilm").capabilities == ["embedding"]


def test_models_are_not_managed_here(client: ollama.Client) -> None:
    for change in (client.pull, client.push, client.delete, lambda name: client.copy(name, "x")):
        with pytest.raises(ollama.ResponseError, match="ocg models pull") as refused:
            change("llama3")
        assert refused.value.status_code == 403


def test_errors_are_ollamas(client: ollama.Client, stack: Stack) -> None:
    for streams in (False, True):
        with pytest.raises(ollama.ResponseError) as unknown:
            list(client.chat(model="gpt-9", messages=HI, stream=streams))
        assert (unknown.value.status_code, "gpt-9" in unknown.value.error) == (404, True)
    with pytest.raises(ollama.ResponseError, match="role"):
        client._request_raw("POST", "/api/chat", json={"model": "ocg", "messages": [{"role": "king"}]})
    with pytest.raises(ollama.ResponseError, match="answers no call"):
        client.chat(model="ocg", messages=[*HI, {"role": "tool", "content": "x"}])
    with ollama.Client(host=stack.url) as stranger, pytest.raises(ollama.ResponseError, match="token") as refused:
        stranger.list()
    assert refused.value.status_code == 401
    with pytest.raises(ollama.ResponseError):
        client.chat(model="custom/scripted", messages=[{"role": "user", "content": "fails with 400"}])
    headers = {"Authorization": f"Bearer {stack.token}"}
    for method, path, status in (("GET", "/api/nothing", 404), ("GET", "/api/chat", 405)):
        found = httpx.request(method, stack.url + path, headers=headers)
        assert (found.status_code, list(found.json())) == (status, ["error"])


def test_who_leaves_ends_the_work(client: ollama.Client, stack: Stack, model: str) -> None:
    lines = client.chat(model=model, messages=[{"role": "user", "content": "never ends"}], stream=True)
    next(lines)
    lines.close()
    assert stack.hung_up()


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


def test_langchain_speaks_it(stack: Stack, model: str) -> None:
    headers = {"headers": {"Authorization": f"Bearer {stack.token}"}}
    chat = ChatOllama(model=model, base_url=stack.url, client_kwargs=headers, validate_model_on_init=model == "ocg")
    assert chat.invoke("hello").content == "You said: hello"
    assert "".join(str(chunk.content) for chunk in chat.stream("hello")) == "You said: hello"
    bound, said = chat.bind_tools([get_weather]), [HumanMessage("use get_weather")]
    called = bound.invoke(said)
    (call,) = called.tool_calls
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([*said, called, result]).content == "The tool said: rain in Paris"
    embeddings = OllamaEmbeddings(model="minilm", base_url=stack.url, client_kwargs=headers)
    assert len(embeddings.embed_query("a cat")) == 384

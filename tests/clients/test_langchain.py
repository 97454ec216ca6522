"""LangChain's package for OpenAI: messages, streams, tools, forms and errors."""

import openai
import pytest
from conftest import Stack
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr


def _model(stack: Stack, name: str) -> ChatOpenAI:
    return ChatOpenAI(model=name, base_url=stack.openai_url, api_key=SecretStr(stack.token), max_retries=0)


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


def test_a_chat_whole_and_streamed(stack: Stack, model: str) -> None:
    assert _model(stack, model).invoke("hello").content == "You said: hello"
    assert "".join(str(chunk.content) for chunk in _model(stack, model).stream("hello")) == "You said: hello"


def test_a_tool_and_back(stack: Stack, model: str) -> None:
    bound, said = _model(stack, model).bind_tools([get_weather]), [HumanMessage("use get_weather")]
    called = bound.invoke(said)
    (call,) = called.tool_calls
    assert call["args"] == {"city": "Paris"}
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([*said, called, result]).content == "The tool said: rain in Paris"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def test_an_answer_has_a_form(stack: Stack, model: str) -> None:
    structured = _model(stack, model).with_structured_output(Person, method="json_schema")
    assert structured.invoke("Ada is 36") == Person(name="Ada", age=36)


def test_errors_are_openais(stack: Stack) -> None:
    with pytest.raises(openai.RateLimitError):
        _model(stack, "custom/scripted").invoke("fails with 429")


def test_who_leaves_ends_the_work(stack: Stack, model: str) -> None:
    stream = _model(stack, model).stream("never ends")
    next(stream)
    stream.close()
    assert stack.hung_up()


def test_embeddings(stack: Stack) -> None:
    embeddings = OpenAIEmbeddings(
        model="minilm", base_url=stack.openai_url, api_key=SecretStr(stack.token), check_embedding_ctx_length=False
    )
    assert len(embeddings.embed_query("a cat")) == 384

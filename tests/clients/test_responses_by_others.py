"""The Responses API as LangChain and LiteLLM speak it, beside OpenAI's own client."""

import json
from typing import Any

import litellm
import pytest
from conftest import WEATHER, Stack
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


@pytest.fixture
def chain(stack: Stack) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=stack.openai_url, api_key=stack.token, model="ocg", max_retries=0, use_responses_api=True
    )


def test_langchain_chats_streams_and_goes_on_by_id(chain: ChatOpenAI) -> None:
    going_on = chain.model_copy(update={"use_previous_response_id": True})
    first = going_on.invoke([HumanMessage("one")])
    assert first.text == "You said: one"
    assert going_on.invoke([HumanMessage("one"), first, HumanMessage("two")]).text == "You said: two"
    whole = AIMessageChunk("")
    for chunk in chain.stream("hello"):
        whole += chunk
    assert whole.text == "You said: hello"
    assert whole.usage_metadata["total_tokens"] > 0


def test_langchain_runs_a_tool_and_sends_its_result_back(chain: ChatOpenAI) -> None:
    bound = chain.bind_tools([get_weather])
    asked = bound.invoke("use get_weather")
    assert isinstance(asked, AIMessage)
    (call,) = asked.tool_calls
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    told = bound.invoke([HumanMessage("use get_weather"), asked, result])
    assert told.text == "The tool said: rain in Paris"


def test_litellm_asks_whole_and_streamed_and_gets_calls(stack: Stack) -> None:
    asking: dict[str, Any] = {"model": "openai/ocg", "api_base": stack.openai_url, "api_key": stack.token}
    assert litellm.responses(input="hello", **asking).output[0].content[0].text == "You said: hello"
    kinds = [str(event.type.value) for event in litellm.responses(input="hello", stream=True, **asking)]
    assert kinds[-1] == "response.completed"
    weather = WEATHER["function"] | {"type": "function"}
    asked = litellm.responses(input="use get_weather", tools=[weather], **asking)
    assert json.loads(asked.output[0].arguments) == {"city": "Paris"}

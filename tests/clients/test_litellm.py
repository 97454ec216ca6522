"""LiteLLM, told that OCG is an OpenAI-compatible API."""

import json
from typing import Any

import litellm
import pytest
from conftest import WEATHER, Stack


def _ask(stack: Stack, model: str, text: str, **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": text}],
        api_base=stack.openai_url,
        api_key=stack.token,
        num_retries=0,
        max_retries=0,
        **more,
    )


def test_a_chat_whole_and_streamed(stack: Stack, model: str) -> None:
    assert _ask(stack, model, "hello").choices[0].message.content == "You said: hello"
    chunks = list(_ask(stack, model, "hello", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: hello"


def test_a_tool_is_called(stack: Stack, model: str) -> None:
    answer = _ask(stack, model, "use get_weather", tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_errors_are_known(stack: Stack) -> None:
    with pytest.raises(litellm.RateLimitError):
        _ask(stack, "custom/scripted", "fails with 429")
    with pytest.raises(litellm.NotFoundError):
        _ask(stack, "gpt-9", "hello")
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(
            model="openai/ocg",
            messages=[{"role": "user", "content": "hello"}],
            api_base=stack.openai_url,
            api_key="wrong",
            max_retries=0,
        )


def test_who_leaves_ends_the_work(stack: Stack, model: str) -> None:
    stream = _ask(stack, model, "never ends", stream=True)
    next(iter(stream))
    stream.completion_stream.close()
    assert stack.hung_up()


def test_embeddings(stack: Stack) -> None:
    found = litellm.embedding(
        model="openai/minilm", input=["a"], api_base=stack.openai_url, api_key=stack.token, encoding_format="float"
    )
    assert len(found.data[0]["embedding"]) == 384
